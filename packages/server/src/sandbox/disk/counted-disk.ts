import type { Clock, Timer } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { DiskCause } from '../limits/hits.ts'
import type { Counted, Disk, Fills } from './disk.ts'
import { isRunningOut } from './space.ts'

/** `du` reads 150 000 entries a second (measured): a count may take a twentieth of the time. */
const countMsMin = 5000
const countShare = 20
/** Counts in a row that may fail: one that something inside prevents is no way past the bound. */
const failuresMax = 3
/**
 * What was killed leaves its files, and whoever keeps the work has to run among them: it may write
 * this much (commits, bundles). A megabyte or two is what it takes, unless the files themselves are kept.
 */
const keptBytesMax = 16 * 1024 ** 2

const words: Readonly<Record<DiskCause, string>> = {
  bound: 'a workspace is too large',
  count: 'a workspace cannot be counted',
  host: 'the disk of the workspaces is running out',
}

/**
 * Plain directories on the host's own disk, which nothing holds within a bound: they are counted
 * from time to time, and what runs there is killed once they, or /tmp, are too large, cannot be counted
 * three times in a row, or the host's own disk is running out. Between two counts a session can go
 * beyond its bound by what the disk writes in that time. Counting goes on after a kill: as long as
 * little was written since, what runs among the files that are left is spared.
 */
export class CountedDisk implements Disk {
  readonly #root: string
  readonly #bytesMax: number
  readonly #tmpBytesMax: number
  readonly #clock: Clock
  readonly #log: Log
  #timer: Timer | null = null
  #isClosed = false
  #bytes: number | null = null
  #hits = 0
  #cause: DiskCause = 'bound'
  /** What was left after the last kill; null: since then all was well. */
  #left: Counted | null = null
  #failures = 0

  constructor(o: {
    readonly root: string
    readonly bytesMax: number
    readonly tmpBytesMax: number
    readonly clock: Clock
    readonly log: Log
  }) {
    this.#root = o.root
    this.#bytesMax = o.bytesMax
    this.#tmpBytesMax = o.tmpBytesMax
    this.#clock = o.clock
    this.#log = o.log
  }

  onHost(path: string): string {
    return path
  }

  bytes(): number | null {
    return this.#bytes
  }

  hits(): number {
    return this.#hits
  }

  cause(): DiskCause {
    return this.#cause
  }

  watch(session: Fills): void {
    this.#next(session, countMsMin)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  async discard(): Promise<boolean> {
    await this.close()
    return false
  }

  #next(session: Fills, ms: number): void {
    if (this.#isClosed) return
    this.#timer = this.#clock.after(ms, () => {
      this.#look(session).catch((err: unknown) => {
        this.#log.error(
          { err, directory: this.#root },
          'what fills a workspace could not be killed',
        )
        this.#next(session, countMsMin)
      })
    })
  }

  async #look(session: Fills): Promise<void> {
    const begun = this.#clock.now()
    const counted = await this.#count(session)
    if (this.#isClosed) return
    if (counted !== null) this.#bytes = counted.files + counted.tmp
    this.#failures = counted === null ? this.#failures + 1 : 0
    const cause = this.#problemOf(counted)
    if (cause !== null) {
      this.#hits += 1
      this.#cause = cause
      this.#failures = 0
      this.#log.warn({ directory: this.#root, ...counted }, words[cause])
      await session.killLive()
      // Anew: it went on writing until it was dead.
      this.#left = (await this.#count(session)) ?? counted
    }
    this.#next(session, Math.max(countMsMin, (this.#clock.now() - begun) * countShare))
  }

  async #count(session: Fills): Promise<Counted | null> {
    return session.count().catch((err: unknown) => {
      this.#log.error({ err, directory: this.#root }, 'a workspace could not be counted')
      return null
    })
  }

  #problemOf(counted: Counted | null): DiskCause | null {
    if (this.#failures >= failuresMax) return 'count'
    const cause = counted !== null && this.#isBeyond(counted) ? 'bound' : this.#ofHost()
    if (cause !== null && this.#left !== null && counted !== null) {
      const { files, tmp } = this.#left
      // What was removed since may not be written again.
      this.#left = { files: Math.min(files, counted.files), tmp: Math.min(tmp, counted.tmp) }
      const grown = Math.max(counted.files - files, counted.tmp - tmp)
      return grown > keptBytesMax ? cause : null
    }
    if (cause === null && counted !== null) this.#left = null
    return cause
  }

  #ofHost(): DiskCause | null {
    return isRunningOut(this.#root) ? 'host' : null
  }

  #isBeyond({ files, tmp }: Counted): boolean {
    return files > this.#bytesMax || tmp > this.#tmpBytesMax
  }
}
