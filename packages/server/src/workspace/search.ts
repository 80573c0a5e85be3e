import type { Workspace } from './git.ts'
import { FileRefused } from './path.ts'

/** What is looked for in the files of a workspace. */
export interface Search {
  readonly pattern: string
  /** The pattern is a regular expression (Rust's syntax), not the very text. */
  readonly isRegex: boolean
  readonly ignoreCase: boolean
  /** Only files that match one of these; with `!` first, none that match it. */
  readonly globs: readonly string[]
  /** Lines shown before and after each that matches. */
  readonly contextLines: number
  readonly matchesMax: number
}

/** What was found: the lines, file by file in the order of their paths. */
export interface Found {
  readonly lines: readonly FoundLine[]
  /** There is more than `matchesMax` or than is read. */
  readonly isCut: boolean
}

interface FoundLine {
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly text: string
  /** It matches; otherwise it stands beside one that does. */
  readonly isMatch: boolean
}

const searchMsMax = 30_000
/** Bytes of ripgrep's output that are read. */
const outputBytesMax = 1024 * 1024
/** Characters of a line that are shown, from its beginning. */
const lineCharsMax = 300
/** Characters of ripgrep's complaints that are passed on. */
const wordsCharsMax = 1000
/** Larger files are no sources. */
const fileBytesMax = '4M'

/**
 * Searches the workspace with the ripgrep that is part of the claude binary: called `rg`, it is
 * ripgrep. Hidden files are searched, `.git` is not, nor what the repository's ignore files name,
 * nor binary files; a symbolic link is never followed.
 */
export async function searchFiles({ sandbox, signal }: Workspace, search: Search): Promise<Found> {
  const linesMax = search.matchesMax * (2 * search.contextLines + 2) + 1
  const script =
    // Cut off as it comes: the reader's end ends the search.
    `exec -a rg "$0" --ignore-file=<(printf %s "$2") "\${@:3}" | head -n "$1" | ` +
    `head -c ${outputBytesMax}; exit \${PIPESTATUS[0]}`
  const own = [String(linesMax), ignoreRules(search.globs)]
  const command = ['bash', '-c', script, sandbox.claudePath, ...own, ...argumentsOf(search)]
  const result = await sandbox.exec(command, {
    network: false,
    timeoutMs: searchMsMax,
    outputBytesMax: 2 * outputBytesMax,
    signal,
  })
  if (result.timedOut) throw new FileRefused('The search took too long: give a narrower glob.')
  // Beside what it found, it also says what it could not read.
  if (result.stdout === '' && result.stderr !== '')
    throw new FileRefused(result.stderr.trim().slice(0, wordsCharsMax))
  return foundIn(result.stdout, search.matchesMax)
}

function argumentsOf(search: Search): string[] {
  return [
    ...['--no-config', '--no-follow', '--no-ignore-parent', '--no-ignore-global', '--hidden'],
    ...['--sort=path', '--color=never', '--no-heading', '--with-filename', '--line-number'],
    ...['--null', '--context-separator=', `--max-columns=${lineCharsMax}`, '--max-columns-preview'],
    ...[`--max-filesize=${fileBytesMax}`, `--context=${search.contextLines}`],
    search.isRegex ? '--no-fixed-strings' : '--fixed-strings',
    search.ignoreCase ? '--ignore-case' : '--case-sensitive',
    ...search.globs.filter(isExclusion).map((glob) => `--glob=${glob}`),
    // A name of two lines would be two rows of the output, the second one of another file.
    ...['--glob=!**/.git', '--glob=!*\n*'],
    ...[`--regexp=${search.pattern}`, '--', '.'],
  ]
}

/**
 * The globs of what is searched, as the weakest of all ignore files: everything but them is ignored.
 * As `--glob` they would bring back what the repository ignores.
 */
function ignoreRules(globs: readonly string[]): string {
  const wanted = globs.filter((glob) => !isExclusion(glob))
  return wanted.length === 0 ? '' : ['*', '!*/', ...wanted.map((glob) => `!${glob}`), ''].join('\n')
}

function isExclusion(glob: string): boolean {
  return glob.startsWith('!')
}

/** `./path NUL 12:text` is a match, `./path NUL 12-text` stands beside one; anything else is neither. */
function foundIn(output: string, matchesMax: number): Found {
  const lines: FoundLine[] = []
  let matches = 0
  for (const row of output.split('\n')) {
    const parts = /^\.\/([^\0]+)\0(\d+)([:-])(.*)$/s.exec(row)
    if (parts === null) continue
    const [, path = '', line = '', mark, text = ''] = parts
    if (mark === ':' && matches === matchesMax) return { lines, isCut: true }
    if (mark === ':') matches += 1
    lines.push({ path, line: Number(line), text: text.replace(/\r$/, ''), isMatch: mark === ':' })
  }
  return { lines, isCut: false }
}
