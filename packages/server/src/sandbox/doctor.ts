import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { SandboxReport } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { createSandboxDriver } from './create.ts'
import { makeInDataDirectory } from './directories.ts'
import { firstUidBase } from './uid-range.ts'

/** What a doctor that was killed left is removed by the next one after this time. */
const abandonedMs = 3_600_000

/**
 * Says what a server with this data directory would find of its sandboxes, by the same probe. It
 * works beside a running one, in a directory of its own that goes with it, and holds no lock.
 * Rejects with a sentence when the data directory cannot be used, or with the signal's reason.
 */
export async function examine(o: {
  readonly dataDir: string
  /** SLOT_UID_BASE; null: what a server would take. */
  readonly uidBase: number | null
  readonly requireLimits: boolean
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<SandboxReport> {
  const dataDir = resolve(o.dataDir)
  await using stack = new AsyncDisposableStack()
  const made = await missingDirectories(dataDir)
  stack.defer(async () => {
    // One that is not empty is a server's by now.
    for (const directory of made) await rmdir(directory).catch(() => undefined)
  })
  const driverAt = async (trials: string) =>
    createSandboxDriver({
      ...o,
      kind: 'bubblewrap',
      dataDir,
      trials,
      uidBase: await firstUidBase({ dataDir, base: o.uidBase }),
    })
  const remove = async (trials: string): Promise<void> => {
    // The disk of a test that was cut off is mounted there.
    await (await driverAt(trials)).recover().catch(() => undefined)
    await rm(trials, { recursive: true, force: true })
  }
  const name = `doctor-${process.pid}`
  await makeInDataDirectory(dataDir, name)
  const trials = join(dataDir, name)
  stack.defer(() => remove(trials))
  for (const left of await abandoned(dataDir, o.clock)) await remove(left)
  // Awaited here: what is deferred above waits for it.
  return await (await driverAt(trials)).probe(o.signal)
}

/** From the deepest up: what has to be made for `directory` to be there. */
async function missingDirectories(directory: string): Promise<string[]> {
  const missing: string[] = []
  for (let path = directory; path !== dirname(path); path = dirname(path)) {
    if (await isThere(path)) break
    missing.push(path)
  }
  return missing
}

async function abandoned(dataDir: string, clock: Clock): Promise<string[]> {
  const names = (await readdir(dataDir)).filter((name) => /^doctor-\d+$/.test(name))
  const found = names.map(async (name) => {
    const path = join(dataDir, name)
    const entry = await stat(path).catch(() => null) // Its own doctor was faster.
    return entry !== null && entry.mtimeMs < clock.now() - abandonedMs ? [path] : []
  })
  return (await Promise.all(found)).flat()
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
