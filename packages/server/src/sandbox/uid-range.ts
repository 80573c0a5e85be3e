import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { narrowUids, slotsMax, uidRangesMax, wideUids } from './limits.ts'
import { mappedUids } from './privileges.ts'

/** A server that just lost this data directory to the one that starts takes a moment to end. */
const takeMsMax = 3000
const retryMs = 100

/** The uids of one server's slots, `base` and the `slotsMax - 1` after it; held until disposed. */
export interface UidRange extends AsyncDisposable {
  readonly base: number
}

/**
 * Takes a range of uids that no other server of this host has. A slot is unique among the sessions
 * of one node, in the store; the ranges make its uid unique among all the nodes of a host, whether
 * they share a database or not.
 *
 * What a session leaves belongs to its uid, so a data directory keeps its range: it is written down
 * in the file `uids`. Its first range depends on its path, for a server that is down does not hold
 * its own, and a new one beside it must not get the same: there are 200,000 where the host has them.
 *
 * The lock is a socket in the abstract namespace of the host's network: it ends with the process
 * however that ends, and leaves no file. Containers with networks of their own do not see each
 * other's; they have to be given ranges.
 *
 * Rejects with a sentence when the range that has to be used is taken, or all are.
 */
export async function takeUidRange(o: {
  readonly dataDir: string
  /** SLOT_UID_BASE; null: the directory's own, or a free one. */
  readonly base: number | null
  readonly clock: Clock
  readonly signal: AbortSignal
}): Promise<UidRange> {
  const { dataDir, clock } = o
  const file = join(dataDir, 'uids')
  const fixed = await fixedBase(o)
  const deadline = clock.now() + takeMsMax
  for (;;) {
    const taken = await takeFirst(fixed === null ? await freeBases(dataDir) : [fixed])
    if (taken !== null) {
      // Whole or not at all, also after a power cut: half a number would be another range.
      await writeFile(`${file}.new`, `${taken.base}\n`, { flush: true })
      await rename(`${file}.new`, file)
      return taken
    }
    if (clock.now() > deadline)
      throw new Error(fixed === null ? noneFree : takenSentence(fixed, dataDir))
    await clock.sleep(retryMs, o.signal)
  }
}

/** Where the range begins that a server would take, or has taken. Takes nothing. */
export async function firstUidBase(o: {
  readonly dataDir: string
  readonly base: number | null
}): Promise<number> {
  const fixed = await fixedBase(o)
  const [base] = fixed === null ? await freeBases(o.dataDir) : [fixed]
  if (base === undefined) throw new Error(noneFree)
  return base
}

async function fixedBase(o: {
  readonly dataDir: string
  readonly base: number | null
}): Promise<number | null> {
  return o.base ?? (await keptBase(join(o.dataDir, 'uids'))) ?? (await baseBefore(o.dataDir))
}

async function takeFirst(bases: readonly number[]): Promise<UidRange | null> {
  for (const base of bases) {
    const lock = await listenAt(`\0longhaul-uids-${base}`)
    if (lock === null) continue
    return {
      base,
      async [Symbol.asyncDispose]() {
        lock.close()
        await once(lock, 'close')
      },
    }
  }
  return null
}

async function keptBase(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return null
  })
  if (text === null) return null
  if (!/^\d{1,10}\n$/.test(text))
    throw new Error(`${file} has to hold the first uid of the sandboxes, and holds something else.`)
  return Number(text)
}

/** A directory that was used before ranges were written down had the first one. */
async function baseBefore(dataDir: string): Promise<number | null> {
  const used = await Promise.all(
    ['sessions', 'repositories'].map((name) => readdir(join(dataDir, name)).catch(() => [])),
  )
  return used.flat().length === 0 ? null : narrowUids.base
}

/** Ranges without an account of the host's, from one that depends on the directory on. */
async function freeBases(dataDir: string): Promise<number[]> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '') // None: nobody to collide.
  const isWide = (await mappedUids(wideUids.base)) === slotsMax
  const { base, ranges } = isWide ? wideUids : narrowUids
  const first = createHash('sha256').update(dataDir).digest().readUInt32BE() % ranges
  return Array.from(
    { length: uidRangesMax },
    (_, n) => base + ((first + n) % ranges) * slotsMax,
  ).filter((at) => accountIn(passwd, at) === null)
}

/** The name of an account of the host's whose uid is in a range; null: there is none. */
export function accountIn(passwd: string, base: number): string | null {
  const taken = passwd.split('\n').find((line) => {
    const uid = Number(line.split(':')[2])
    return uid >= base && uid < base + slotsMax
  })
  return taken?.split(':')[0] ?? null
}

/** Null when somebody listens there. */
function listenAt(path: string): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy())
  server.unref()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    )
    server.listen({ path }, () => resolve(server))
  })
}

function takenSentence(base: number, dataDir: string): string {
  return (
    `The uids ${base} to ${base + slotsMax - 1}, which the sandboxes of ${dataDir} run as, are ` +
    `another Longhaul server's on this host: stop that one, or start this one with an empty ` +
    `DATA_DIR, or, if nothing is in it that is still needed, with another SLOT_UID_BASE.`
  )
}

const noneFree = `All ${uidRangesMax} ranges of uids for sandboxes that this server may choose are taken on this host: set SLOT_UID_BASE to the first of ${slotsMax} that are free.`
