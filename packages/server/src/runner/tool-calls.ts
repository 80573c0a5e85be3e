import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { Metrics } from '../metrics.ts'
import { builtInTools } from '../tasks/presets.ts'

/** Calls that are remembered until they end; what is beyond is not counted. */
const openMax = 1000

const known: ReadonlySet<string> = new Set(builtInTools)

/**
 * Counts the calls of built-in tools by what an agent's log says. Tools of ours count themselves
 * where they run.
 */
export class ToolCalls {
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #open = new Map<unknown, { readonly tool: string; readonly since: number }>()

  constructor({ metrics, clock }: { readonly metrics: Metrics; readonly clock: Clock }) {
    this.#metrics = metrics
    this.#clock = clock
  }

  /** Takes every event of the agent, in order. */
  saw(event: NewEvent): void {
    const id = event['tool_use_id']
    if (event.type === 'agent.tool_use' && this.#open.size < openMax) {
      const name = String(event['name'])
      // A model may call what does not exist, by any name.
      this.#open.set(id, { tool: known.has(name) ? name : 'other', since: this.#clock.now() })
    }
    const call = event.type === 'agent.tool_result' ? this.#open.get(id) : undefined
    if (call === undefined) return
    this.#open.delete(id)
    const { tool, since } = call
    const outcome = event['is_error'] === true ? 'failed' : 'succeeded'
    this.#metrics.toolCalls.inc({ tool, outcome })
    this.#metrics.toolSeconds.observe({ tool }, (this.#clock.now() - since) / 1000)
  }
}
