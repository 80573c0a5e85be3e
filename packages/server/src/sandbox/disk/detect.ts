import { realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gap } from '@longhaul/client/contract'
import type { Clock } from '../../clock.ts'
import { makeTraversable } from '../directories.ts'
import { spaceFix } from '../refusals.ts'
import { type DiskKind, imageIn } from './disk.ts'
import { type Image, makeImage, mountImage, unmountImage } from './image.ts'

/** The smallest file system that has everything a session's has. */
const trialBytes = 4 * 1024 ** 2

/**
 * Finds out how this host can hold sessions within their bytes of disk, by making a file system
 * beside theirs, mounting it and taking it away: 20 ms. Never rejects; the gap says what is missing.
 */
export async function detectDisk(o: {
  /** Where the sessions' directories are. */
  readonly sessions: string
  readonly path: string
  readonly clock: Clock
}): Promise<{ readonly disk: DiskKind; readonly gaps: readonly Gap[] }> {
  if (process.getuid?.() !== 0)
    return watched('The server is not root, so it cannot mount a file system for each session.')
  // A server that is about to be refused this data directory may be trying at the same time.
  const root = join(o.sessions, `trial-${process.pid}`)
  try {
    await makeTraversable(root)
    await tryOut(imageIn(await realpath(root), o.path), o.clock)
    return { disk: 'loop', gaps: [] }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const fix = /ENOSPC|No space left/.test(why) ? await spaceFix(o.sessions) : rootFix
    return watched(`A file system for each session cannot be made here: ${why}.`, fix)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

const rootFix =
  'Run the server as root with e2fsprogs and util-linux installed and loop devices: in Docker, --cap-add SYS_ADMIN --device /dev/loop-control and the device cgroup rule `b 7:* rmw`.'

async function tryOut(image: Image, clock: Clock): Promise<void> {
  try {
    await makeImage(image, trialBytes)
    await mountImage(image, clock)
  } finally {
    await unmountImage(image, clock)
  }
}

function watched(
  what: string,
  fix = rootFix,
): { readonly disk: DiskKind; readonly gaps: readonly Gap[] } {
  return {
    disk: 'watch',
    gaps: [
      {
        what,
        consequence:
          'Workspaces are counted every few seconds and ended beyond their bound: a session can exceed it by what the disk writes meanwhile, and by deleted files that it holds by a mapping or a message alone; below 256 MiB of free space what runs is ended.',
        fix,
      },
    ],
  }
}
