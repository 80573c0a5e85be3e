import type { DiffFile } from '@longhaul/client/contract'

/** A file of a difference, but for its lines. */
export type DiffEntry = Omit<DiffFile, 'hunks' | 'truncated'>

/**
 * The files of a difference from what `git diff-tree -z` prints with `--raw` and with `--numstat`:
 * names in both are bytes that end with NUL, exactly as git holds them. Of lists that were cut off
 * the entries that are in both, whole, are left.
 */
export function parseList(raw: Buffer, counts: Buffer): DiffEntry[] {
  const numbers = parseCounts(fieldsOf(counts))
  return parseChanges(fieldsOf(raw)).flatMap((change, at) => {
    const count = numbers[at]
    return count ? [{ ...change, ...count }] : []
  })
}

type Change = Omit<DiffEntry, keyof Counts>
type Counts = Pick<DiffEntry, 'additions' | 'deletions' | 'binary'>

const statuses: Readonly<Record<string, DiffFile['status']>> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  T: 'type_changed',
  R: 'renamed',
}

/** `:<mode> <mode> <id> <id> <letter><score>`, and the name, or the old and the new one. */
function parseChanges(fields: readonly Buffer[]): Change[] {
  const changes: Change[] = []
  for (let at = 0; at < fields.length; ) {
    const head = headOf(fields[at])
    const names = head?.status === 'renamed' ? 2 : 1
    const [first, path = first] = fields.slice(at + 1, at + 1 + names)
    at += 1 + names
    if (!head || !path || at > fields.length) break
    const old =
      names === 2 && first ? nameOf('old_path', first) : { old_path: null, old_path_base64: null }
    changes.push({ ...nameOf('path', path), ...old, ...head })
  }
  return changes
}

function headOf(
  field: Buffer | undefined,
): Pick<Change, 'status' | `${'old' | 'new'}_mode`> | null {
  const [, oldMode = '', newMode = '', letter = ''] =
    /^:(\d{6}) (\d{6}) [0-9a-f]+ [0-9a-f]+ ([AMDTR])\d*$/.exec(text(field)) ?? []
  const status = statuses[letter]
  if (!status) return null
  return {
    status,
    old_mode: letter === 'A' ? null : oldMode,
    new_mode: letter === 'D' ? null : newMode,
  }
}

/** `<added>\t<deleted>\t<name>`, or an empty name and then the old and the new one. */
function parseCounts(fields: readonly Buffer[]): Counts[] {
  const counts: Counts[] = []
  for (let at = 0; at < fields.length; ) {
    const [, added = '', deleted = '', name = ''] =
      /^(\d+|-)\t(\d+|-)\t(.*)$/s.exec(text(fields[at])) ?? []
    const isBinary = added === '-'
    at += name === '' ? 3 : 1
    if (added === '' || at > fields.length) break
    counts.push({
      additions: isBinary ? null : Number(added),
      deletions: isBinary ? null : Number(deleted),
      binary: isBinary,
    })
  }
  return counts
}

/** What stands before each NUL; what has none behind it was cut off and is left out. */
function fieldsOf(list: Buffer): Buffer[] {
  const fields: Buffer[] = []
  for (let at = 0, end = list.indexOf(0); end >= 0; at = end + 1, end = list.indexOf(0, at))
    fields.push(list.subarray(at, end))
  return fields
}

/** One sign for each byte. */
function text(field: Buffer | undefined): string {
  return field?.toString('latin1') ?? ''
}

function nameOf<K extends 'path' | 'old_path'>(key: K, name: Buffer) {
  const decoded = name.toString('utf8')
  const base64 = Buffer.from(decoded).equals(name) ? null : name.toString('base64')
  return { [key]: decoded, [`${key}_base64`]: base64 } as Record<K, string> &
    Record<`${K}_base64`, string | null>
}
