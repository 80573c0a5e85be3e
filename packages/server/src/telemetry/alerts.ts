import type { ServerAlert, ServerAlertName } from '@longhaul/client/contract'
import type { Clock, Timer } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'

/** Between two looks at everything; an alert is raised and cleared this late at most. */
const lookMs = 5000
/** A condition that is not told within this is not known: it stays as it was. */
const answerMsMax = 4000

/** Something that may be wrong with this server. */
export interface Condition {
  readonly name: ServerAlertName
  /** `error`: tasks fail or stand still of it; `warn`: they may. */
  readonly level: 'error' | 'warn'
  readonly fix: string
  /** What is wrong, in a sentence; null: nothing. A rejection: it cannot be told now. */
  readonly look: () => Promise<string | null> | string | null
}

/**
 * Looks every 5 s at all that may be wrong with this server, and holds what is. Each change is logged
 * once, and the gauge `longhaul_alert` follows it. Disposing stops looking.
 */
export class Alerts implements AsyncDisposable {
  readonly #o: AlertsOptions
  readonly #raised = new Map<ServerAlertName, ServerAlert>()
  #timer: Timer | null = null
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(o: AlertsOptions) {
    this.#o = o
    for (const { name } of o.conditions) o.metrics.alert.set({ name }, 0)
  }

  /** Everything that is wrong now, in the order of the conditions. */
  list(): ServerAlert[] {
    return this.#o.conditions.flatMap(({ name }) => this.#raised.get(name) ?? [])
  }

  start(): void {
    if (this.#isClosed) return
    this.#timer = this.#o.clock.after(lookMs, () => {
      this.#looking = this.look().finally(() => this.start())
    })
  }

  /** Looks once at everything; never rejects. */
  async look(): Promise<void> {
    await Promise.all(this.#o.conditions.map((condition) => this.#lookAt(condition)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#looking
    this.#timer?.cancel()
  }

  async #lookAt(condition: Condition): Promise<void> {
    const answer = await this.#answerOf(condition)
    if (answer !== undefined) this.#tell(condition, answer)
  }

  /** Undefined: it cannot be told now, most likely because the store is away, which has its own word. */
  async #answerOf({ look }: Condition): Promise<string | null | undefined> {
    const late = Promise.withResolvers<undefined>()
    using _limit = this.#o.clock.after(answerMsMax, () => late.resolve(undefined))
    try {
      return await Promise.race([look(), late.promise])
    } catch {
      return undefined
    }
  }

  #tell({ name, level, fix }: Condition, message: string | null): void {
    const { log, metrics, clock } = this.#o
    const raised = this.#raised.get(name)
    if (message === null) {
      if (raised === undefined) return
      this.#raised.delete(name)
      metrics.alert.set({ name }, 0)
      log.info({ alert: name, since: raised.since }, 'the alert is over')
      return
    }
    const since = raised?.since ?? new Date(clock.now()).toISOString()
    this.#raised.set(name, { name, since, message, fix })
    if (raised !== undefined) return
    metrics.alert.set({ name }, 1)
    log[level]({ alert: name, fix }, message)
  }
}

interface AlertsOptions {
  readonly conditions: readonly Condition[]
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
}
