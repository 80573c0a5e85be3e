import { lstat, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import { pathsOf } from '../directories.ts'
import type { DiskCause } from '../limits/hits.ts'
import { CountedDisk } from './counted-disk.ts'
import { type Image, mountsBelow, unmountImage } from './image.ts'
import { ImageDisk } from './image-disk.ts'

/** What holds a session's files, and within which bound. */
export interface Disk {
  /** Where one of the session's own directories is on the host; inside it is at its own path. */
  onHost(path: string): string
  /** Bytes that its files take, as last seen; null: not counted yet. */
  bytes(): number | null
  /** How often the disk was found full since it was opened, a new look included; it only grows. */
  hits(): number
  /** Why it was found full the last time. */
  cause(): DiskCause
  /** Begins to count, where nothing else holds the bound. */
  watch(session: Fills): void
  /** Puts it away once nothing of the session runs; its files stay. */
  close(): Promise<void>
  /** `close`, and its files go. False: they have to be removed from inside. */
  discard(): Promise<boolean>
}

/** What runs in a session, as far as its disk is concerned. */
export interface Fills {
  /** Bytes of the session's directories, by `du` inside; null when it was cut off. */
  count(): Promise<Counted | null>
  killLive(): Promise<void>
}

/** Bytes of a session's /tmp, and of all its other directories. */
export interface Counted {
  readonly files: number
  readonly tmp: number
}

/** How the sessions of this host are held within their bytes. */
export type DiskKind = 'loop' | 'watch'

/**
 * Opens what holds a session's files, made when the session is first opened: file systems of its
 * own in two files where the host can (`loop`), else plain directories that are counted (`watch`). A
 * session keeps what it began with, at its size then. Throws when a file system cannot be had.
 */
export async function openDisk(o: {
  /** The session's directory; there is one. */
  readonly root: string
  readonly kind: DiskKind
  /** Of all its files but those in /tmp, which have a bound of their own. */
  readonly bytesMax: number
  readonly tmpBytesMax: number
  /** Search path for the tools of file systems. */
  readonly path: string
  readonly clock: Clock
  readonly log: Log
}): Promise<Disk> {
  // The kernel's tables name it so.
  const root = await realpath(o.root)
  const files = imageIn(root, o.path)
  const ofTmp = imageIn(root, o.path, tmpDiskName)
  const isMade = await isThere(files.file)
  if (!isMade && (o.kind === 'watch' || (await isPlain(o.root)))) return new CountedDisk(o)
  const tmp = !isMade || (await isThere(ofTmp.file)) ? ofTmp : null
  return ImageDisk.open({ ...o, images: { files, tmp }, isMade })
}

/** A file system of a session, beside the server's own files of it. */
export function imageIn(root: string, path: string, name = diskName): Image {
  return { file: join(root, `${name}.img`), at: join(root, name), path }
}

/**
 * Unmounts what a server that was killed left mounted of its sessions. Their files stay. Only for
 * who alone uses the directory: an open session would be left without its disk.
 */
export async function putDisksAway(o: {
  readonly sessions: string
  readonly path: string
  readonly clock: Clock
}): Promise<void> {
  for (const at of await mountsBelow(await realpath(o.sessions)))
    if ([diskName, tmpDiskName].includes(basename(at)))
      await unmountImage({ at, path: o.path }, o.clock)
}

/** Where a person finds the files of a session that is closed: in its workspace, or in an image. */
export async function whereFilesAre(root: string): Promise<string> {
  const { file } = imageIn(root, '')
  return (await isThere(file)) ? file : pathsOf(root).workspace
}

const diskName = 'disk'
const tmpDiskName = 'tmp-disk'

async function isPlain(root: string): Promise<boolean> {
  return lstat(pathsOf(root).workspace).then(
    (entry) => entry.isDirectory(),
    () => false,
  )
}

function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}
