import { sdkToolNamed, sdkTools } from '../agent/built-in-tools.ts'
import { toolServerName } from '../agent/tools/names.ts'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import type { Metrics } from '../metrics.ts'

/** Calls that are remembered until they end; what is beyond is not counted. */
const openMax = 1000

const known: ReadonlySet<string> = new Set(Object.values(sdkTools).flat())

/**
 * Counts the calls of built-in tools, and those of the operator's MCP servers as `mcp`, by what an
 * agent's log says. Typed tools count themselves where they run.
 */
export class ToolCalls {
  readonly #metrics: Metrics
  readonly #clock: Clock
  readonly #open = new Map<
    unknown,
    { readonly tool: string; readonly isDenied: boolean; readonly since: number }
  >()

  constructor({ metrics, clock }: { readonly metrics: Metrics; readonly clock: Clock }) {
    this.#metrics = metrics
    this.#clock = clock
  }

  /** Takes every event of the agent, in order. */
  saw(event: NewEvent): void {
    const { type } = event
    if (type === 'agent.tool_use') {
      const name = sdkToolNamed(String(event['name']))
      // A model may call what does not exist, by any name.
      this.#begin(event, known.has(name) ? name : 'other')
    }
    if (type === 'agent.mcp_tool_use' && event['mcp_server_name'] !== toolServerName)
      this.#begin(event, 'mcp')
    if (type === 'agent.tool_result') this.#end(event, event['tool_use_id'])
    if (type === 'agent.mcp_tool_result') this.#end(event, event['mcp_tool_use_id'])
  }

  #begin(event: NewEvent, tool: string): void {
    if (this.#open.size >= openMax) return
    const isDenied = event['evaluated_permission'] === 'deny'
    this.#open.set(event['tool_use_id'], { tool, isDenied, since: this.#clock.now() })
  }

  #end(event: NewEvent, id: unknown): void {
    const call = this.#open.get(id)
    if (call === undefined) return
    this.#open.delete(id)
    const { tool, isDenied, since } = call
    const failed = isDenied ? 'denied' : 'failed'
    const outcome = event['is_error'] === true ? failed : 'succeeded'
    this.#metrics.toolCalls.inc({ tool, outcome })
    this.#metrics.toolSeconds.observe({ tool }, (this.#clock.now() - since) / 1000)
  }
}
