import type { Clock, Timer } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Counted, Disk, Fills } from './disk.ts'
import { isRunningOut } from './space.ts'

/** `du` reads 150 000 entries a second (measured): a count may take a twentieth of the time. */
const countMsMin = 5000
const countShare = 20
/** Counts in a row that may fail: one that something inside prevents is no way past the bound. */
const failuresMax = 3

/**
 * Plain directories on the host's own disk, which nothing holds within a bound: they are counted
 * from time to time, and what runs there is killed once they, or /tmp, are too large, cannot be counted
 * three times in a row, or the host's own disk is running out. Between two counts a session can go
 * beyond its bound by what the disk writes in that time.
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
    const counted = await session.count().catch((err: unknown) => {
      this.#log.error({ err, directory: this.#root }, 'a workspace could not be counted')
      return null
    })
    if (this.#isClosed) return
    if (counted !== null) this.#bytes = counted.files + counted.tmp
    this.#failures = counted === null ? this.#failures + 1 : 0
    const why = this.#problemOf(counted)
    if (why !== null) {
      this.#hits += 1
      this.#failures = 0
      this.#log.warn({ directory: this.#root, ...counted }, why)
      await session.killLive()
      // Once: what was killed leaves its files, and whoever keeps the work has to run there.
      if (counted !== null) return
    }
    this.#next(session, Math.max(countMsMin, (this.#clock.now() - begun) * countShare))
  }

  #problemOf(counted: Counted | null): string | null {
    if (this.#failures >= failuresMax) return 'a workspace cannot be counted'
    if (counted !== null && this.#isBeyond(counted)) return 'a workspace is too large'
    return isRunningOut(this.#root) ? 'the disk of the workspaces is running out' : null
  }

  #isBeyond({ files, tmp }: Counted): boolean {
    return files > this.#bytesMax || tmp > this.#tmpBytesMax
  }
}
