import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import type { Clock } from '../clock.ts'
import type { NewEvent } from '../events/append.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { type Fields, fieldsOf, listOf, textOf } from './fields.ts'
import { Previews } from './previews.ts'
import { modelError } from './session-error.ts'
import { Spans } from './spans.ts'
import { threadIdOf } from './thread-id.ts'
import { boundContent } from './tool-content.ts'

/** What one message of the SDK becomes: entries of the log, and deltas for who watches right now. */
export interface Mapped {
  readonly events: readonly NewEvent[]
  readonly deltas: readonly NewEvent[]
}

/** Calls of MCP tools whose results are awaited; beyond them a result looks like any tool's. */
const mcpCallsMax = 1000

/**
 * Turns the SDK's messages into events of the Managed Agents vocabulary. It holds only what joins
 * several messages: ids promised by previews, requests in flight, and which calls went to an MCP
 * server. Unknown messages become nothing, and a malformed one never throws: they come out of the
 * sandbox.
 */
export class MessageMap {
  readonly #sessionId: string
  readonly #spans: Spans
  readonly #previews: Previews
  readonly #access: (name: string) => string
  readonly #mcpCalls = new Set<string>()
  #isRescheduled = false

  constructor(o: {
    readonly sessionId: string
    readonly clock: Clock
    /** Takes secrets out of deltas; absent: none is known. */
    readonly scrubber?: Scrubber
    /** What becomes of the calls of a tool, by the SDK's name. */
    readonly access: (name: string) => 'allow' | 'ask' | 'deny'
  }) {
    this.#access = o.access
    this.#sessionId = o.sessionId
    this.#spans = new Spans(o.clock)
    this.#previews = new Previews({ scrubber: new Scrubber([]), ...o })
  }

  map(message: SDKMessage): Mapped {
    const fields = fieldsOf(message)
    switch (fields['type']) {
      case 'assistant':
        return logged([...this.#assistant(fields), ...this.#spans.answered(fields)])
      case 'user':
        return logged(this.#toolResults(fields))
      case 'stream_event':
        return this.#streamed(fields)
      case 'system':
        return logged(this.#system(fields))
      case 'result':
        this.#previews.clear()
        this.#isRescheduled = false
        return logged(this.#spans.closeAll())
      default:
        return logged([])
    }
  }

  #assistant(message: Fields): NewEvent[] {
    const answer = fieldsOf(message['message'])
    // What the CLI made up (`API Error: …`) was not said by the agent.
    if (answer['model'] === '<synthetic>') return []
    const id = textOf(answer['id'])
    const thread = this.#thread(message)
    return listOf(answer['content']).flatMap((item): NewEvent[] => {
      const block = fieldsOf(item)
      switch (block['type']) {
        case 'text': {
          const text = textOf(block['text'])
          const content = [{ type: 'text', text }]
          return text === ''
            ? []
            : [{ ...this.#previews.keep(id, 'agent.message'), content, ...thread }]
        }
        case 'thinking':
          return [{ ...this.#previews.keep(id, 'agent.thinking'), ...thread }]
        case 'tool_use':
          return [{ ...this.#toolUse(block), ...thread }]
        default:
          return []
      }
    })
  }

  #toolUse(block: Fields): NewEvent {
    const id = textOf(block['id'])
    const name = textOf(block['name'])
    const permission = this.#access(name)
    const input = fieldsOf(block['input'])
    const call = { tool_use_id: id, input, evaluated_permission: permission }
    const [, server, tool] = /^mcp__(.+?)__(.+)$/.exec(name) ?? []
    if (server === undefined || tool === undefined) return { type: 'agent.tool_use', name, ...call }
    if (this.#mcpCalls.size < mcpCallsMax) this.#mcpCalls.add(id)
    return { type: 'agent.mcp_tool_use', mcp_server_name: server, name: tool, ...call }
  }

  #toolResults(message: Fields): NewEvent[] {
    const thread = this.#thread(message)
    return listOf(fieldsOf(message['message'])['content']).flatMap((item): NewEvent[] => {
      const block = fieldsOf(item)
      // All other user content is the CLI's own: reminders, notifications, interruptions.
      if (block['type'] !== 'tool_result') return []
      const id = textOf(block['tool_use_id'])
      const content = boundContent(block['content'])
      const result = { content, is_error: block['is_error'] === true, ...thread }
      return this.#mcpCalls.delete(id)
        ? [{ type: 'agent.mcp_tool_result', mcp_tool_use_id: id, ...result }]
        : [{ type: 'agent.tool_result', tool_use_id: id, ...result }]
    })
  }

  #streamed(message: Fields): Mapped {
    const frame = fieldsOf(message['event'])
    const key = textOf(message['parent_tool_use_id'])
    const thread = this.#thread(message)
    const events = this.#spans.streamed(key, frame).map((event) => ({ ...event, ...thread }))
    const deltas = this.#previews.streamed(key, frame).map((delta) => ({ ...delta, ...thread }))
    if (!this.#isRescheduled || frame['type'] !== 'message_start') return { events, deltas }
    this.#isRescheduled = false
    return { events: [{ type: 'session.status_running' }, ...events], deltas }
  }

  #system(message: Fields): NewEvent[] {
    switch (message['subtype']) {
      case 'status':
        return message['status'] === 'requesting' ? this.#spans.requested() : []
      case 'compact_boundary':
        return [{ type: 'agent.thread_context_compacted' }]
      case 'api_retry': {
        const status = message['error_status']
        const error = modelError(typeof status === 'number' ? status : null, 'retrying')
        if (this.#isRescheduled) return [error]
        this.#isRescheduled = true
        return [error, { type: 'session.status_rescheduled' }]
      }
      default:
        return []
    }
  }

  #thread(message: Fields): { readonly thread_id?: string } {
    const parent = textOf(message['parent_tool_use_id'])
    return parent === '' ? {} : { thread_id: threadIdOf(this.#sessionId, parent) }
  }
}

function logged(events: readonly NewEvent[]): Mapped {
  return { events, deltas: [] }
}
