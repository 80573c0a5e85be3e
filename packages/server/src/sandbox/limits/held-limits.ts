import type { Clock } from '../../clock.ts'
import type { Log } from '../../log.ts'
import type { SandboxLimits, SandboxUsage } from '../driver.ts'
import { kernelFiles } from './cgroup-files.ts'
import { type DetectedLimits, detectLimits, ownProc } from './detect.ts'
import { SessionGroup } from './group.ts'
import { groupName, removeOrphanedGroups } from './group-names.ts'
import { addHits, type LimitHits, noHits } from './hits.ts'
import { raiseScore } from './oom-score.ts'
import { rlimitOptions } from './rlimit.ts'
import { Watchdog } from './watchdog.ts'

/** What holds one open sandbox within its limits. */
export interface HeldLimits {
  /** Options of `prlimit` for every start. */
  readonly rlimits: readonly string[]
  /** Bounds a process that was just started; see `SessionGroup.enter`. */
  enter(pid: number): Promise<void>
  hits(): LimitHits
  usage(): Promise<SandboxUsage>
  /** Once nothing of the sandbox lives. */
  release(): Promise<void>
}

/** Which sandbox's limits are held, and whose processes they bound. */
export interface Bounded {
  readonly sessionId: string
  readonly limits: SandboxLimits
  /** Host uid of what runs inside. */
  readonly uid: number
  /** Whether nothing else has that uid. */
  readonly ownUid: boolean
  /** A directory that only this sandbox's processes have mounted. */
  readonly mounted: string
}

/** Holds the limits of all sandboxes of a driver, by whatever this host has for it. */
export class LimitHolder {
  readonly #proc: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #watchdog: Watchdog
  #detected: Promise<DetectedLimits> | null = null

  constructor(o: { readonly proc?: string; readonly clock: Clock; readonly log: Log }) {
    this.#proc = o.proc ?? ownProc
    this.#clock = o.clock
    this.#log = o.log
    this.#watchdog = new Watchdog(o)
  }

  /** What this host has; found out once. */
  detect(): Promise<DetectedLimits> {
    this.#detected ??= detectLimits({ proc: this.#proc, files: kernelFiles, clock: this.#clock })
    return this.#detected
  }

  async hold(o: Bounded): Promise<HeldLimits> {
    const { memory, processes, hierarchies } = await this.detect()
    await this.clearUp()
    const group = await SessionGroup.make({
      name: groupName(o.sessionId),
      hierarchies,
      limits: o.limits,
      files: kernelFiles,
      clock: this.#clock,
    })
    const byRlimit = { memory: memory === 'rlimit', processes: processes === 'rlimit' }
    const watched =
      byRlimit.memory || byRlimit.processes ? this.#watchdog.watch({ ...o, watch: byRlimit }) : null
    return {
      rlimits: rlimitOptions({ ...o, byRlimit }),
      async enter(pid) {
        await Promise.all([group.enter(pid), raiseScore(pid)])
      },
      hits: () => addHits(group.hits(), watched?.hits() ?? noHits),
      usage: async () => ({ ...nothingKnown, ...watched?.usage(), ...(await group.usage()) }),
      async release() {
        watched?.stop()
        await group.remove()
      },
    }
  }

  /** Removes the groups that servers which were killed left beside this one's. */
  async clearUp(): Promise<void> {
    const { hierarchies } = await this.detect()
    const removed = await removeOrphanedGroups(hierarchies, {
      files: kernelFiles,
      clock: this.#clock,
    })
    if (removed > 0) this.#log.info({ removed }, 'control groups of an earlier server removed')
  }
}

/** Where nothing counts. */
export const nothingKnown: SandboxUsage = {
  cpuSeconds: null,
  memoryBytes: null,
  memoryPeakBytes: null,
  processes: null,
  diskBytes: null,
}
