import { execFile } from 'node:child_process'
import {
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Clock } from '../../clock.ts'
import { answerBytesMax, askMs } from '../limits.ts'
import { mountinfoPath } from '../process-table.ts'

/** How long a file system of processes that were just killed may take to be given up. */
const releaseMsMax = 2000
/** One inode a so many bytes: a tree of packages holds a file every 8 to 16 KiB. */
const bytesPerInode = 8192

/** A file that holds a file system, and where it is mounted. */
export interface Image {
  readonly file: string
  /** A directory of the server's, in one of the server's. */
  readonly at: string
  /** Search path for mkfs.ext4, mount and umount. */
  readonly path: string
}

/**
 * Makes the file system, sparse: it takes of the host what is written into it. Without a journal:
 * what a session has is a clone and what can be made again, and each write would be made twice. A
 * file that is there is whole, because it gets its name last.
 */
export async function makeImage({ file, path }: Image, bytes: number): Promise<void> {
  const draft = `${file}.new`
  await rm(draft, { force: true })
  await writeFile(draft, '', { mode: 0o600 })
  await truncate(draft, bytes)
  await run(path, [
    ...['mkfs.ext4', '-q', '-F', '-b', '4096', '-i', String(bytesPerInode), '-m', '0'],
    // The file is new, so it is zeros already: nothing need be cleared, now or later.
    ...['-O', '^has_journal', '-E', 'lazy_itable_init=1,nodiscard', draft],
  ])
  await rename(draft, file)
}

/**
 * Mounts the image, unless it still is: a server that was killed leaves its mounts, whole, and the
 * kernel has kept them up. A file system that was not put away (the power was cut) is made anew: files
 * of the last half minute may be empty in it, git's own among them, and nobody could tell which. The
 * session goes on as on another node, from its checkpoint.
 */
export async function mountImage(image: Image, clock: Clock): Promise<void> {
  await mkdir(image.at, { recursive: true, mode: 0o711 })
  const mounted = await mountAt(image.at)
  if (mounted !== null && mounted.file === image.file && !mounted.isReadOnly) return
  if (mounted !== null) await unmountImage(image, clock)
  if ((await isReleased(image.file, clock)) && !(await isPutAway(image.file)))
    await makeImage(image, (await stat(image.file)).size)
  await run(image.path, [
    // The loop device goes with its last mount. nosuid, nodev: nothing that it holds is trusted.
    ...['mount', '-n', '-t', 'ext4', '-o', 'loop,nosuid,nodev,noatime,noinit_itable'],
    ...[image.file, image.at],
  ])
  await chmod(image.at, 0o711)
}

/** Takes the mount away, if it is there; one that somebody stands in goes when they leave. */
export async function unmountImage({ at, path }: Pick<Image, 'at' | 'path'>, clock: Clock) {
  for (let tried = 0; (await mountAt(at)) !== null; tried += 1) {
    const last = tried >= 5
    await run(path, ['umount', '-n', ...(last ? ['-l'] : []), at]).catch((error: unknown) => {
      if (last) throw error
      return clock.sleep(20)
    })
  }
}

/** What is mounted at exactly this directory now; the uppermost of several. */
async function mountAt(
  at: string,
): Promise<{ readonly file: string | null; readonly isReadOnly: boolean } | null> {
  const line = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .findLast((each) => each.split(' ')[4] === mountinfoPath(at))
  if (line === undefined) return null
  const [own = '', shared = ''] = line.split(' - ')
  const isReadOnly = [own.split(' ')[5], shared.split(' ')[2]].some((options) =>
    options?.split(',').includes('ro'),
  )
  return { file: await fileOf(own.split(' ')[2] ?? ''), isReadOnly }
}

/** Directories below `directory` that something is mounted at. */
export async function mountsBelow(directory: string): Promise<string[]> {
  const prefix = mountinfoPath(join(directory, '/'))
  const points = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
  return points.filter((point) => point.startsWith(prefix)).map(plainPath)
}

function plainPath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )
}

/** The file behind a loop device, by its numbers; null: it is none. */
async function fileOf(device: string): Promise<string | null> {
  return readFile(`/sys/dev/block/${device}/loop/backing_file`, 'utf8').then(
    (text) => text.trimEnd(),
    () => null,
  )
}

/**
 * Whether no device is made of the file. The namespaces of processes that were killed take their
 * mounts along a moment later; one that lasts is mounted again as it is, and must not be mended.
 */
async function isReleased(file: string, clock: Clock): Promise<boolean> {
  const deadline = clock.now() + releaseMsMax
  while (await isAttached(file)) {
    if (clock.now() > deadline) return false
    await clock.sleep(10)
  }
  return true
}

async function isAttached(file: string): Promise<boolean> {
  const names = await readdir('/sys/block').catch(() => [])
  const files = await Promise.all(
    names
      .filter((name) => name.startsWith('loop'))
      .map((name) => readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '')),
  )
  return files.some((text) => text.trimEnd() === file)
}

/** What its superblock says: mounted and not put away, or known to be damaged, it is neither. */
async function isPutAway(file: string): Promise<boolean> {
  const handle = await open(file, 'r')
  try {
    // `s_state` of `struct ext4_super_block`, 0x3a in a superblock at 1024.
    const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 1024 + 0x3a)
    return buffer.readUInt16LE() === 1
  } finally {
    await handle.close()
  }
}

async function run(path: string, [program = '', ...args]: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)(program, args, {
      cwd: '/',
      env: { PATH: path },
      timeout: askMs,
      maxBuffer: answerBytesMax,
    })
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const said = 'stderr' in error ? String(error.stderr).trim() : ''
    throw new Error(`${program} failed: ${said || error.message}`, { cause: error })
  }
}
