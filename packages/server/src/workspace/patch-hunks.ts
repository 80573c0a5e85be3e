import type { DiffFile } from '@longhaul/client/contract'

type Hunk = DiffFile['hunks'][number]

/** What a patch says of one file, or of one half of a file that became of another type. */
export interface Section {
  /** Where it begins in the patch, in bytes. */
  readonly at: number
  /** Null where the lines of the patch, up to its end, are too many. */
  readonly hunks: readonly Hunk[] | null
}

/**
 * The sections of a patch as `git diff-tree --patch` prints it, in its order. Within a hunk the counts
 * of its header decide which lines are content, so no content is taken for a header. Where the patch
 * was cut off, its last section lacks lines.
 */
export function parsePatch(patch: Buffer, linesMax: number): Section[] {
  const lines = new Lines(patch)
  const sections: { at: number; hunks: Hunk[] | null }[] = []
  for (let at = 0; ; at = lines.at) {
    const line = lines.next()
    if (line === null) return sections
    if (line.startsWith('diff --git ')) sections.push({ at, hunks: [] })
    const section = sections.at(-1)
    const counts = header.exec(line)
    if (!section || !counts) continue
    const hunk = readHunk(lines, counts, lines.read < linesMax)
    if (lines.read < linesMax) section.hunks?.push(hunk)
    else section.hunks = null
  }
}

const header = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$/s

/** Reads the lines of a hunk to their end, and keeps them where they are wanted. */
function readHunk(lines: Lines, counts: RegExpExecArray, isWanted: boolean): Hunk {
  const [, oldStart, oldLines = '1', newStart, newLines = '1', heading = ''] = counts
  const content: string[] = []
  let old = Number(oldLines)
  let now = Number(newLines)
  while (old > 0 || now > 0 || lines.isNote) {
    const line = lines.next()
    if (line === null) break
    if (isWanted) content.push(line)
    if (line.startsWith('-') || line.startsWith(' ')) old -= 1
    if (line.startsWith('+') || line.startsWith(' ')) now -= 1
  }
  return {
    old_start: Number(oldStart),
    old_lines: Number(oldLines),
    new_start: Number(newStart),
    new_lines: Number(newLines),
    heading,
    lines: content,
  }
}

/** Lines of UTF-8 text, one after the other; what is not UTF-8 becomes U+FFFD. */
class Lines {
  readonly #bytes: Buffer
  /** Where the next line begins. */
  at = 0
  /** How many were read. */
  read = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Without its newline; null at the end. */
  next(): string | null {
    if (this.at >= this.#bytes.length) return null
    const found = this.#bytes.indexOf(0x0a, this.at)
    const end = found < 0 ? this.#bytes.length : found
    const line = this.#bytes.toString('utf8', this.at, end)
    this.at = end + 1
    this.read += 1
    return line
  }

  /** The next line is git's own note on the one before: `\ No newline at end of file`. */
  get isNote(): boolean {
    return this.#bytes[this.at] === 0x5c
  }
}
