import type { Clock, Timer } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { Counted, Disk, Fills } from './disk.ts'

/** `du` reads 150 000 entries a second (measured): a count may take a twentieth of the time. */
const countMsMin = 5000
const countShare = 20

/**
 * Plain directories on the host's own disk, which nothing holds within a bound: they are counted
 * from time to time, and what runs there is killed once they, or /tmp, are too large. Between two counts a
 * session can go beyond its bound by what the disk writes in that time.
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
        this.#log.error({ err, directory: this.#root }, 'a workspace could not be counted')
        this.#next(session, countMsMin)
      })
    })
  }

  async #look(session: Fills): Promise<void> {
    const begun = this.#clock.now()
    const counted = await session.count()
    if (this.#isClosed) return
    if (counted !== null) this.#bytes = counted.files + counted.tmp
    if (counted === null || !this.#isBeyond(counted)) {
      return this.#next(session, Math.max(countMsMin, (this.#clock.now() - begun) * countShare))
    }
    // Once: what was killed leaves its files, and whoever keeps the work has to run there.
    this.#hits += 1
    this.#log.warn({ directory: this.#root, ...counted }, 'a workspace is too large')
    await session.killLive()
  }

  #isBeyond({ files, tmp }: Counted): boolean {
    return files > this.#bytesMax || tmp > this.#tmpBytesMax
  }
}
