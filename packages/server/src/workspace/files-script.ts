/*
 * Runs inside a sandbox, as a program: one request on standard input, one answer on standard output.
 * What it is asked to do it does below one directory, whatever else changes files there meanwhile.
 * Each directory is opened from the one before, by its name and without following a link, and stays
 * open; what is done is done to a name in an open directory (`/proc/self/fd/<n>/<name>`, which the
 * kernel resolves from the directory itself, wherever it was moved). A file's kind is looked at
 * through a descriptor that cannot read (O_PATH), and it is that descriptor which is then opened for
 * reading: a FIFO or a device is never opened, not for a moment. What is written is written beside,
 * to a new file, and renamed: no link and no other file of a name is ever written through.
 */
import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { FileRequest, Path } from './files-request.ts'

type Name = string | Buffer
type Request<Op> = Extract<FileRequest, { op: Op }>

/** Linux's O_PATH, which Node has no name for. */
const pathOnly = 0o10000000
const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants
const asDirectory = pathOnly | O_DIRECTORY | O_NOFOLLOW
/** Directories in directories: each level keeps one descriptor or two open. */
const depthMax = 500
const pieceBytes = 1024 * 1024

class Refused extends Error {} // The answer is a sentence, not a result.

function perform(request: FileRequest): object {
  switch (request.op) {
    case 'read':
      return read(request)
    case 'write':
      return write(request)
    case 'list':
      return list(request)
    case 'delete':
      return remove(request)
    case 'move':
      return move(request)
    case 'copy':
      return copy(request)
  }
}

function read({ path, bytesMax, root }: Request<'read'>): object {
  const place = placeOf(root, path)
  const { fd, stats } = look(place)
  if (!stats.isFile()) throw new Refused(`${place.shown} is ${kindOf(stats)}, not a file.`)
  if (stats.size > bytesMax)
    throw new Refused(
      `${place.shown} has ${stats.size} bytes; at most ${bytesMax} of a file are read.`,
    )
  const file = openSync(`/proc/self/fd/${fd}`, O_RDONLY)
  // One byte more than may be: a file that grows meanwhile is noticed.
  const data = Buffer.alloc(Math.min(stats.size + pieceBytes, bytesMax + 1))
  let bytes = 0
  for (let got = -1; got !== 0 && bytes < data.length; bytes += got)
    got = readSync(file, data, bytes, data.length - bytes, null)
  if (bytes === data.length) throw new Refused(`${place.shown} grew while it was read.`)
  return { data: data.toString('base64', 0, bytes) }
}

function write({ path, data, isNew, root }: Request<'write'>): object {
  return withPlace(root, path, (place) => {
    const stats = checkFree(place, { replace: !isNew })
    const content = Buffer.from(data, 'base64')
    beside(place, (name) => {
      const fd = create(place.directory, name)
      for (let sent = 0; sent < content.length; ) sent += writeSync(fd, content, sent)
      if (stats !== null) fchmodSync(fd, stats.mode & 0o777)
      closeSync(fd)
    })
    return { replaced: stats !== null }
  })
}

function list({ path, depth, entriesMax, root }: Request<'list'>): object {
  const top = path.length === 0 ? openSync(root, asDirectory) : directoryAt(placeOf(root, path))
  const entries: object[] = []
  let more = false
  const visit = (directory: number, prefix: string, level: number): void => {
    for (const { name, stats } of entriesIn(directory)) {
      more = entries.length >= entriesMax
      if (more) return
      const shown = `${prefix}${name.toString()}`
      const entry = { path: shown, kind: kindOf(stats), bytes: stats.size }
      const count = entries.push(entry)
      if (!stats.isDirectory() || level >= depth) continue
      const inner = openSync(at(directory, name), asDirectory)
      try {
        visit(inner, `${shown}/`, level + 1)
      } catch (error) {
        entry.kind = unreadable(error)
        entries.length = count
      }
      closeSync(inner)
    }
  }
  visit(top, '', 1)
  return { entries, more }
}

/** But for git's own directory and what goes meanwhile. */
function* entriesIn(
  directory: number,
): Generator<{ readonly name: Buffer; readonly stats: Stats }> {
  for (const name of namesIn(directory).toSorted(Buffer.compare)) {
    const stats = name.toString() === '.git' ? null : statsOf(directory, name)
    if (stats !== null) yield { name, stats }
  }
}

function remove({ path, recursive, root, msMax }: Request<'delete'>): object {
  const place = placeOf(root, path)
  const { stats } = look(place)
  if (recursive || !stats.isDirectory())
    removeTree(place.directory, place.name, new Budget({ msMax }))
  else rmdirSync(at(place.directory, place.name))
  return { kind: kindOf(stats) }
}

function move({ from, to, replace, root }: Request<'move'>): object {
  const source = placeOf(root, from)
  const { stats } = look(source)
  return withPlace(root, to, (target) => {
    checkFree(target, { replace: replace && !stats.isDirectory() })
    renameSync(at(source.directory, source.name), at(target.directory, target.name))
    return { kind: kindOf(stats) }
  })
}

function copy(o: Request<'copy'>): object {
  const source = placeOf(o.root, o.from)
  const { stats } = look(source)
  return withPlace(o.root, o.to, (target) => {
    checkFree(target, { replace: o.replace && !stats.isDirectory() })
    const budget = new Budget(o)
    const [from, to] = [source.directory, target.directory]
    beside(target, (as) => copyEntry({ from, name: source.name, to, as, budget }))
    return { kind: kindOf(stats), entries: budget.entries }
  })
}

/** A name in an open directory, which is not the workspace's root. */
interface Place {
  readonly directory: number
  readonly name: string
  /** The path as a sentence has it. */
  readonly shown: string
}

/** Does something at a place whose missing directories are made; what fails leaves none of them. */
function withPlace(root: string, path: Path, act: (place: Place) => object): object {
  const made: Buffer[] = []
  try {
    return act(placeOf(root, path, made))
  } catch (error) {
    try {
      for (const directory of made.toReversed()) rmdirSync(directory)
    } catch {
      // Somebody else uses it; why it is undone is said.
    }
    throw error
  }
}

/** Opens the directories on the way, without following a link; makes missing ones, into `made`. */
function placeOf(root: string, path: Path, made: Buffer[] | null = null): Place {
  const name = path.at(-1)
  if (name === undefined) throw new Refused('This is not done to the workspace itself.')
  let directory = openSync(root, asDirectory)
  for (const [n, step] of path.slice(0, -1).entries()) {
    if (made && statsOf(directory, step) === null) {
      mkdirSync(at(directory, step))
      made.push(at(directory, step))
    }
    const inner = directoryAt({ directory, name: step, shown: quoted(path.slice(0, n + 1)) })
    // What was made in it may have to be taken out again.
    if (!made?.length) closeSync(directory)
    directory = inner
  }
  return { directory, name, shown: quoted(path) }
}

function directoryAt(place: Place): number {
  const { fd, stats } = look(place)
  closeSync(fd)
  if (!stats.isDirectory())
    throw new Refused(`${place.shown} is ${kindOf(stats)}, not a directory.`)
  return openSync(at(place.directory, place.name), asDirectory)
}

/** What is there, itself: a link is not followed, and nothing is opened for reading. */
function look({ directory, name, shown }: Place): { fd: number; stats: Stats } {
  try {
    const fd = openSync(at(directory, name), pathOnly | O_NOFOLLOW)
    return { fd, stats: fstatSync(fd) }
  } catch (error) {
    throw codeOf(error) === 'ENOENT' ? new Refused(`${shown} does not exist.`) : error
  }
}

/** Answers the file that is replaced. */
function checkFree(target: Place, { replace }: { readonly replace: boolean }): Stats | null {
  const stats = statsOf(target.directory, target.name)
  if (stats === null) return null
  if (!replace) throw new Refused(`${target.shown} exists already.`)
  if (!stats.isFile()) throw new Refused(`${target.shown} is ${kindOf(stats)}, not a file.`)
  return stats
}

/** Makes something below a name of its own, then gives it the place's; what fails leaves nothing. */
function beside({ directory, name }: Place, make: (name: string) => void): void {
  const temporary = `.longhaul-${randomUUID()}`
  try {
    make(temporary)
    renameSync(at(directory, temporary), at(directory, name))
  } catch (error) {
    if (statsOf(directory, temporary)) removeTree(directory, temporary, new Budget({}))
    throw error
  }
}

interface Copy {
  readonly from: number
  readonly name: Name
  readonly to: number
  readonly as: Name
  readonly budget: Budget
  readonly depth?: number
}

function copyEntry(o: Copy): void {
  const { from, name, to, as, budget, depth = 0 } = o
  budget.enter(depth)
  const fd = openSync(at(from, name), pathOnly | O_NOFOLLOW)
  const stats = fstatSync(fd)
  if (stats.isSymbolicLink()) symlinkSync(readlinkSync(at(from, name), 'buffer'), at(to, as))
  else if (stats.isDirectory()) copyDirectory({ ...o, depth })
  else if (stats.isFile()) copyContent(fd, { to, as, stats, budget })
  else throw new Refused(`${quoted([String(name)])} is ${kindOf(stats)}, which is not copied.`)
  closeSync(fd)
}

function copyDirectory({ from, name, to, as, budget, depth }: Required<Copy>): void {
  const source = openSync(at(from, name), asDirectory)
  mkdirSync(at(to, as))
  const target = openSync(at(to, as), asDirectory)
  for (const entry of namesIn(source))
    copyEntry({ from: source, name: entry, to: target, as: entry, budget, depth: depth + 1 })
  closeSync(source)
  closeSync(target)
}

/** As long as it was when it was looked at: what is added meanwhile is not waited for. */
function copyContent(
  seen: number,
  o: { readonly to: number; readonly as: Name; readonly stats: Stats; readonly budget: Budget },
): void {
  o.budget.copied(o.stats.size)
  const source = openSync(`/proc/self/fd/${seen}`, O_RDONLY)
  const target = create(o.to, o.as)
  const piece = Buffer.alloc(pieceBytes)
  for (let left = o.stats.size; left > 0; ) {
    const got = readSync(source, piece, 0, Math.min(left, pieceBytes), null)
    if (got === 0) break
    for (let sent = 0; sent < got; ) sent += writeSync(target, piece, sent, got - sent)
    o.budget.copied(0)
    left -= got
  }
  fchmodSync(target, o.stats.mode & 0o777)
  closeSync(source)
  closeSync(target)
}

function removeTree(parent: number, name: Name, budget: Budget, depth = 0): void {
  if (!statsOf(parent, name)?.isDirectory()) {
    unlinkSync(at(parent, name))
    return
  }
  budget.enter(depth)
  const directory = openSync(at(parent, name), asDirectory)
  for (const entry of namesIn(directory)) removeTree(directory, entry, budget, depth + 1)
  closeSync(directory)
  rmdirSync(at(parent, name))
}

/** What one request may take in all. */
class Budget {
  readonly #limits: Partial<Record<'msMax' | 'entriesMax' | 'bytesMax', number>>
  entries = 0
  #bytes = 0

  constructor(limits: Partial<Record<'msMax' | 'entriesMax' | 'bytesMax', number>>) {
    this.#limits = limits
  }

  enter(depth: number): void {
    const { entriesMax = Infinity } = this.#limits
    this.entries += 1
    if (depth > depthMax)
      throw new Refused(`There are more than ${depthMax} levels of directories.`)
    if (this.entries > entriesMax) throw new Refused(`There are more than ${entriesMax} entries.`)
    this.copied(0)
  }

  copied(bytes: number): void {
    const { bytesMax = Infinity, msMax = Infinity } = this.#limits
    this.#bytes += bytes
    if (this.#bytes > bytesMax) throw new Refused(`There are more than ${bytesMax} bytes.`)
    if (performance.now() > msMax) throw new Refused('It took too long.')
  }
}

/** A name in an open directory, as a path that leads nowhere else. */
function at(directory: number, name: Name): Buffer {
  const bytes = Buffer.from(name)
  if (['', '.', '..'].includes(bytes.toString()) || bytes.includes('/') || bytes.includes(0))
    throw new Error('not a name in a directory')
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), bytes])
}

function statsOf(directory: number, name: Name): Stats | null {
  return lstatSync(at(directory, name), { throwIfNoEntry: false }) ?? null
}

function create(directory: number, name: Name): number {
  return openSync(at(directory, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644)
}

function namesIn(directory: number): Buffer[] {
  return readdirSync(`/proc/self/fd/${directory}`, 'buffer')
}

function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'a file'
  if (stats.isDirectory()) return 'a directory'
  if (stats.isSymbolicLink()) return 'a symbolic link'
  if (stats.isFIFO()) return 'a FIFO'
  return stats.isSocket() ? 'a socket' : 'a device'
}

function quoted(path: Path): string {
  return JSON.stringify(path.join('/'))
}

function codeOf(error: unknown): string {
  return error instanceof Error ? String(Reflect.get(error, 'code') ?? '') : ''
}

function unreadable(error: unknown): string {
  if (codeOf(error) !== 'EACCES') throw error
  return 'an unreadable directory'
}

/** What the kernel says no with, in words. */
const sentences: Readonly<Record<string, string>> = {
  'EACCES EPERM': 'The permissions of the file, or of a directory on the way, do not allow it.',
  EROFS: 'It is read-only here.',
  'ENOSPC EDQUOT': 'The disk is full.',
  ENOTEMPTY: 'The directory is not empty; `recursive` deletes it with what is in it.',
  EINVAL: 'A directory cannot be put into itself.',
  EXDEV: 'It cannot be moved there; copy it.',
  EMFILE: 'There are too many levels of directories.',
  ENAMETOOLONG: 'The path is too long.',
  'ENOENT EEXIST ENOTDIR ELOOP': 'It was changed meanwhile.',
}

function answer(request: FileRequest): object {
  try {
    return { answered: perform(request) }
  } catch (error) {
    if (error instanceof Refused) return { refused: error.message }
    const code = codeOf(error)
    const said = Object.entries(sentences).find(([codes]) => codes.split(' ').includes(code))
    if (said === undefined) throw error
    return { refused: said[1] }
  }
}

process.stdout.write(JSON.stringify(answer(JSON.parse(readFileSync(0, 'utf8')))))
