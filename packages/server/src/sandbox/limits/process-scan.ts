import { readdir, readFile } from 'node:fs/promises'
import { isGone, isMounted, type ProcessIdentity, readOfProcess } from '../process-table.ts'

/** What one process takes. */
export interface Footprint {
  readonly identity: ProcessIdentity
  readonly threads: number
  /** Resident memory that is no file's: file pages are given up before anything is killed. */
  readonly memoryBytes: number
  readonly cpuSeconds: number
}

/** Whose processes are looked for. */
interface Owner {
  readonly uid: number
  readonly mounted: string
}

/** What one look found of an owner. */
export interface Sighting {
  readonly processes: Footprint[]
  /** Threads of everything with its uid, as the kernel counts them for RLIMIT_NPROC. */
  threadsOfUid: number
}

/** The kernel shows processor time in hundredths of a second, on every platform of Node's. */
const ticksPerSecond = 100

/**
 * Reads the process table once for all sandboxes. Which sandbox a process is in stands in its mount
 * table, which is long, so that is read once for each process.
 */
export class ProcessScan {
  /** By number and start; of processes that were there at the last look. */
  #mounts = new Map<string, string>()

  async of<T extends Owner>(owners: readonly T[]): Promise<Map<T, Sighting>> {
    const found = new Map<T, Sighting>(
      owners.map((owner) => [owner, { processes: [], threadsOfUid: 0 }]),
    )
    const mounts = new Map<string, string>()
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
    await Promise.all(
      pids.map(async (pid) => {
        // Gone meanwhile, or of another user.
        const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
        const uid = Number(/^Uid:\t(\d+)/m.exec(status)?.[1] ?? Number.NaN)
        const candidates = [...found].filter(([owner]) => owner.uid === uid)
        const footprint = candidates.length === 0 ? null : await footprintOf(pid, status)
        if (footprint === null) return
        const who = `${pid} ${footprint.identity.startTime}`
        const mountinfo = this.#mounts.get(who) ?? (await readOfProcess(pid, 'mountinfo'))
        for (const [{ mounted }, sighting] of candidates) {
          sighting.threadsOfUid += footprint.threads
          if (!isMounted(mountinfo, mounted)) continue
          sighting.processes.push(footprint)
          // Not before: a launch mounts its directories only after a moment.
          mounts.set(who, mountinfo)
        }
      }),
    )
    this.#mounts = mounts
    return found
  }
}

/** What they take together, with shared pages counted once: exact, and slower to find out. */
export async function provenMemoryBytes(processes: readonly Footprint[]): Promise<number> {
  const shares = await Promise.all(
    processes.map(async ({ identity: { pid } }) => {
      const text = await readOfProcess(pid, 'smaps_rollup')
      return kibibytes(text, 'Pss_Anon') + kibibytes(text, 'Pss_Shmem')
    }),
  )
  return shares.reduce((a, b) => a + b, 0) * 1024
}

async function footprintOf(pid: string, status: string): Promise<Footprint | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state = 'X', userTicks, systemTicks, threads, startTime] = [0, 11, 12, 17, 19].map(
    (index) => fields[index],
  )
  if (startTime === undefined || isGone({ state, threads: Number(threads) })) return null
  const shown = state === 'Z' ? await readOfProcess(pid, 'status') : status
  return {
    identity: { pid: Number(pid), startTime },
    threads: Number(threads),
    memoryBytes: (kibibytes(shown, 'RssAnon') + kibibytes(shown, 'RssShmem')) * 1024,
    cpuSeconds: (Number(userTicks) + Number(systemTicks)) / ticksPerSecond,
  }
}

function kibibytes(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}
