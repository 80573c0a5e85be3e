import type { DiffFile, TaskDiff } from '@longhaul/client/contract'
import { type DiffEntry, parseList } from './diff-list.ts'
import { GitFailed, tryGitScript, type Workspace } from './git.ts'
import { parsePatch, type Section } from './patch-hunks.ts'

/** Longest that git may take for it: work that waits for it is kept or published after that. */
const diffMsMax = 20_000
/** Bytes of the patch that are kept, in whole files. */
const patchBytesMax = 4 * 1024 * 1024
/** Bytes of names and modes, and of names and counts, that are read. */
const listBytesMax = 2 * 1024 * 1024
const filesMax = 3000
/** Lines of all hunks together; each is a string of its own. */
const linesMax = 100_000
/** base64 makes four bytes of three; one more byte of each part says that there were more. */
const outputBytesMax = Math.ceil(((patchBytesMax + 2 * listBytesMax + 3) * 4) / 3) + 64

/**
 * The difference between two commits, as a patch and file by file, with exact names. Beyond the
 * bounds, files lose their hunks, or are missing, and `truncated` says so; what is there is whole.
 * Throws `GitFailed`.
 */
export async function diff(
  workspace: Workspace,
  { base, tip }: { readonly base: string; readonly tip: string },
): Promise<{ readonly patch: Buffer; readonly diff: TaskDiff }> {
  const bounds = [listBytesMax, listBytesMax, patchBytesMax].map((bytes) => String(bytes + 1))
  const options = { outputBytesMax, timeoutMs: diffMsMax }
  const result = await tryGitScript(workspace, { script, args: [base, tip, ...bounds] }, options)
  const parts = result.stdout.split('\n').map((part) => Buffer.from(part, 'base64'))
  const [raw, counts, text] = parts
  if (result.exitCode !== 0 || result.truncated || !raw || !counts || !text)
    throw new GitFailed(['diff-tree'], result)

  const sections = parsePatch(text, linesMax)
  // Its last file is incomplete, and would not apply.
  const cut = text.length > patchBytesMax ? sections.pop() : undefined
  const entries = parseList(raw, counts)
  const files = withHunks(entries.slice(0, filesMax), sections)
  const isMissing =
    entries.length > filesMax || raw.length > listBytesMax || counts.length > listBytesMax
  return {
    patch: text.subarray(0, cut?.at),
    diff: {
      base_commit: base,
      commit: tip,
      additions: files.reduce((sum, { additions }) => sum + (additions ?? 0), 0),
      deletions: files.reduce((sum, { deletions }) => sum + (deletions ?? 0), 0),
      truncated: isMissing || cut !== undefined || files.some(({ truncated }) => truncated),
      files,
    },
  }
}

/** Files and sections are in one order; a file that became of another type has two of them. */
function withHunks(entries: readonly DiffEntry[], sections: readonly Section[]): DiffFile[] {
  let at = 0
  return entries.map((entry) => {
    const count = entry.status === 'type_changed' ? 2 : 1
    const own = sections.slice(at, at + count)
    at += count
    const isWhole = own.length === count && own.every(({ hunks }) => hunks !== null)
    return {
      ...entry,
      truncated: !isWhole && !entry.binary,
      hunks: isWhole ? own.flatMap(({ hunks }) => hunks ?? []) : [],
    }
  })
}

/**
 * `diff-tree` is plumbing: of what the agent set, only what is named here would change it. Whatever is
 * too long ends git with SIGPIPE.
 */
const script = `
part() {
  local max=$1
  shift
  git -c diff.suppressBlankEmpty=false diff-tree -r -M -l1000 --no-ext-diff --no-textconv \\
    --no-color "$@" "$base" "$tip" -- | head --bytes="$max" | base64 --wrap=0
  case \${PIPESTATUS[0]} in 0 | 141) echo ;; *) exit 1 ;; esac
}
base=$1 tip=$2
part "$3" --raw --no-abbrev -z
part "$4" --numstat -z
part "$5" --patch --full-index --unified=3
`
