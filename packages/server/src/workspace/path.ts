/** A path, or what lies there, is not taken; the message is a sentence for who gave it. */
export class FileRefused extends Error {}

/** Linux takes 4,095 bytes of a path and 255 of a name. */
const pathBytesMax = 4095
const nameBytesMax = 255
/** Names of a path: as many as `files-script.ts` deletes in each other. */
const levelsMax = 500

/**
 * The names that lead from the workspace's root to a file, none for the root itself. A path is
 * relative to the root, or absolute and below it. Nothing is resolved: what could lead elsewhere is
 * refused, `..` also where it would lead back, and so is git's own directory, by any spelling that
 * git itself takes for it. Links are the business of the kernel: see `files-script.ts`.
 */
export function namesOf(path: string, root: string): string[] {
  const problem = problemOf(path)
  if (problem !== null) throw new FileRefused(`${shown(path)} ${problem}.`)
  const below = path === root ? '' : path.startsWith(`${root}/`) ? path.slice(root.length) : path
  if (below === path && path.startsWith('/'))
    throw new FileRefused(`${shown(path)} is not in the workspace: give a path relative to it.`)
  const names = below.split('/').filter((name) => name !== '' && name !== '.')
  if (names.length > levelsMax)
    throw new FileRefused(`${shown(path)} has more than ${levelsMax} levels of directories.`)
  for (const name of names) {
    const wrong = problemOfName(name)
    if (wrong !== null) throw new FileRefused(`${shown(path)} ${wrong}.`)
  }
  return names
}

function problemOf(path: string): string | null {
  if (path === '') return 'is empty'
  if (path.includes('\0')) return 'has a NUL character'
  // Neither has bytes of its own: the file system would be asked for another name.
  if (!path.isWellFormed()) return 'is not well-formed Unicode'
  if (Buffer.byteLength(path) > pathBytesMax) return `is longer than ${pathBytesMax} bytes`
  return null
}

function problemOfName(name: string): string | null {
  if (name === '..') return 'has a `..`, which may lead out of the workspace'
  if (Buffer.byteLength(name) > nameBytesMax) return `has a name longer than ${nameBytesMax} bytes`
  if (/\p{Cc}/u.test(name)) return 'has a control character'
  if (plain(name) === '.git') return "is in git's own directory; use the git tools"
  if (isGits(name)) return "has a name that git takes for its own directory's; no commit has such"
  return null
}

/**
 * What git's `verify_path` takes for `.git` where it guards other systems' file systems, and puts
 * into no commit: on NTFS a name ends before its last dots and spaces and before a `:`, is split at
 * `\\`, and has `git~1` as its short form.
 */
function isGits(name: string): boolean {
  return plain(name)
    .split('\\')
    .some((part) => /^(?:\.git|git~1)[. ]*(?::|$)/.test(part))
}

/** As file systems that fold case and drop ignorable characters see it. */
function plain(name: string): string {
  return name
    .normalize('NFKC')
    .replace(/\p{Cf}/gu, '')
    .toLowerCase()
}

function shown(path: string): string {
  const start = path.length > 200 ? `${path.slice(0, 200)}…` : path
  return JSON.stringify(start.toWellFormed())
}
