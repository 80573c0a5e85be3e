import { createHash } from 'node:crypto'
import { tryGitScript, type Workspace } from './git.ts'

/** Bytes of the objects that are read: root directories of a hundred thousand entries fit. */
const objectsBytesMax = 8 * 1024 * 1024
/** base64 makes four bytes of three, and ends each line. */
const base64BytesMax = Math.ceil(objectsBytesMax * 1.4)
/** A file that never answers in place of an object (a FIFO) must not hold a push up for long. */
const readMsMax = 30_000

/**
 * What lies at `.github/workflows` in each of the commits, in a form that only says whether two are
 * the same; null where it cannot be read. Git in the sandbox hands over the commit, its root
 * directory and `.github` as bytes, and each is believed because it has the hash by which the one
 * before it names it, up to the commit's own id: no object store that lies, or changes meanwhile, can
 * show another directory than the one that a host would get.
 */
export async function readWorkflows(
  workspace: Workspace,
  commits: readonly string[],
): Promise<(string | null)[]> {
  const names = commits.flatMap((commit) => [commit, `${commit}^{tree}`, `${commit}:.github`])
  const script = 'set -o pipefail; git cat-file --batch | base64'
  const result = await tryGitScript(
    workspace,
    { script, args: [] },
    {
      input: names.map((name) => `${name}\n`).join(''),
      outputBytesMax: base64BytesMax,
      timeoutMs: readMsMax,
    },
  )
  if (result.exitCode !== 0 || result.truncated) return commits.map(() => null)
  const objects = parseObjects(Buffer.from(result.stdout, 'base64'))
  return commits.map((commit, at) => stateOf(commit, objects.slice(at * 3, at * 3 + 3)))
}

interface GitObject {
  readonly type: string
  readonly data: Buffer
}

/** What `git cat-file --batch` prints: `<id> <type> <size>`, the bytes, a newline; else a sentence. */
function parseObjects(output: Buffer): (GitObject | null)[] {
  const objects: (GitObject | null)[] = []
  for (let at = 0; at < output.length; ) {
    const end = output.indexOf('\n', at)
    if (end < 0) break
    const [, type, size] = header.exec(output.toString('latin1', at, end)) ?? []
    at = end + 1
    if (type === undefined) {
      objects.push(null)
      continue
    }
    objects.push({ type, data: output.subarray(at, at + Number(size)) })
    at += Number(size) + 1
  }
  return objects
}

const header = /^[0-9a-f]+ ([a-z]+) (\d{1,12})$/

function stateOf(
  id: string,
  [commit, root, directory]: readonly (GitObject | null | undefined)[],
): string | null {
  if (!isObject(commit, 'commit', id)) return null
  const tree = /^tree ([0-9a-f]+)\n/.exec(commit.data.toString('latin1', 0, 80))?.[1]
  if (tree === undefined || !isObject(root, 'tree', tree)) return null
  const outer = entryOf(root.data, '.github', tree.length)
  if (outer === null || outer === undefined) return outer === null ? null : ''
  // A link or a file there is not what a host looks into, but no less a change.
  if (outer.mode !== '40000') return `.github ${outer.mode} ${outer.id}`
  if (!isObject(directory, 'tree', outer.id)) return null
  const inner = entryOf(directory.data, 'workflows', tree.length)
  if (inner === null || inner === undefined) return inner === null ? null : ''
  return `${inner.mode} ${inner.id}`
}

function isObject(
  object: GitObject | null | undefined,
  type: string,
  id: string,
): object is GitObject {
  if (object?.type !== type) return false
  const hash = createHash(id.length === 64 ? 'sha256' : 'sha1')
  hash.update(`${type} ${object.data.length}\0`).update(object.data)
  return hash.digest('hex') === id
}

/** The entry of this name; undefined: there is none; null: the directory is not in order. */
function entryOf(
  tree: Buffer,
  wanted: string,
  idChars: number,
): { readonly mode: string; readonly id: string } | undefined | null {
  let found: { readonly mode: string; readonly id: string } | undefined
  for (let at = 0; at < tree.length; ) {
    const zero = tree.indexOf(0, at)
    const next = zero + 1 + idChars / 2
    const space = at + (tree[at + 5] === 0x20 ? 5 : 6)
    if (zero <= space + 1 || next > tree.length || !isMode(tree, at, space)) return null
    // A directory may have very many entries: only one that may be it becomes a text.
    if (zero - space - 1 === wanted.length && tree.toString('latin1', space + 1, zero) === wanted) {
      // Two of one name: nobody can say which of them a host would take.
      if (found !== undefined) return null
      found = {
        mode: tree.toString('latin1', at, space),
        id: tree.toString('hex', zero + 1, next),
      }
    }
    at = next
  }
  return found
}

/** Five or six digits, and a space. */
function isMode(tree: Buffer, from: number, space: number): boolean {
  for (let at = from; at < space; at += 1) {
    const byte = tree[at] ?? 0
    if (byte < 0x30 || byte > 0x39) return false
  }
  return tree[space] === 0x20
}
