import type { Clock, Timer } from '../clock.ts'
import type { Launch, Told } from './bubblewrap-process.ts'
import { launchWaitMsMax } from './limits.ts'
import type { Running } from './running.ts'

/**
 * Starts what runs in a sandbox. A launch costs three programs and, on version 1 of control groups,
 * 10 ms of the kernel's for entering its session's group: so each one that was told what to run is
 * followed by one that is not, and that the next command finds ready.
 *
 * It is no way around a wall: it is the very launch that a command has without it, in the session's
 * group, with its uid and without a privilege, at the place where every launch waits for its
 * arguments, and it has nothing of any command, so none is ever too old. From inside nobody sees it:
 * it is outside of every pid namespace and in the user namespace above, so that it can be neither
 * signalled nor traced; the monitor of a running command is no other. There is one at most for each
 * open sandbox, it counts as one of the session's processes, and it ends with the sandbox, with the
 * server, and when no command has come for `launchWaitMsMax`.
 */
export class Launches {
  readonly #start: () => Launch
  readonly #clock: Clock
  #waiting: Launch | null = null
  #timer: Timer | null = null
  #closed = false

  constructor(o: { readonly start: () => Launch; readonly clock: Clock }) {
    this.#start = o.start
    this.#clock = o.clock
  }

  run(told: Told): Running {
    return this.#take().run(told, () => this.#prepare())
  }

  /** Ends the one that waits; resolves once it is gone. */
  async discard(): Promise<void> {
    await this.#release()?.discard()
  }

  /** As `discard`; none will wait any more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.discard()
  }

  #take(): Launch {
    const waiting = this.#release()
    if (waiting?.waits() === true) return waiting
    void waiting?.discard() // It died: for its descriptors.
    return this.#start()
  }

  #prepare(): void {
    if (this.#closed || this.#waiting !== null) return
    this.#waiting = this.#start()
    this.#timer = this.#clock.after(launchWaitMsMax, () => void this.discard())
  }

  #release(): Launch | null {
    this.#timer?.cancel()
    const waiting = this.#waiting
    this.#waiting = null
    return waiting
  }
}
