import type { SessionEvent } from '@longhaul/client/contract'
import { readEvents } from '../events/read.ts'
import type { Store } from '../store/open.ts'
import type { SessionRow, TaskRow } from '../store/tables.ts'
import { fenced, inlineCode } from '../tasks/markdown.ts'

/** Events read with one statement: what a transcript costs in memory, however long it is. */
const pageRows = 100

export type TranscriptFormat = 'markdown' | 'jsonl'

/** A task's log up to now, in pieces that are made as fast as they are read. */
export async function* transcript(
  store: Store,
  o: {
    readonly task: TaskRow
    readonly session: Pick<SessionRow, 'id' | 'last_seq'>
    readonly format: TranscriptFormat
  },
): AsyncGenerator<Buffer> {
  const { task, session, format } = o
  if (format === 'markdown') yield Buffer.from(headOf(task))
  for (let after = 0; after < session.last_seq; ) {
    const events = await readEvents(store.db, {
      ...{ sessionId: session.id, after, limit: pageRows },
      // What came after the beginning is left out: a task that runs has a transcript that ends.
      upTo: session.last_seq,
      // For people a message is there once: where it was read, or where it waits.
      lastOfId: format === 'markdown',
    })
    yield Buffer.from(events.map(format === 'markdown' ? markdownOf : lineOf).join(''))
    const last = events.at(-1)
    if (!last) return
    after = last.seq
  }
}

function lineOf(event: SessionEvent): string {
  return `${JSON.stringify(event)}\n`
}

function headOf(task: TaskRow): string {
  const { order } = task
  return `# ${task.id}

- repository: ${inlineCode(order.repoUrl)}
- type: ${task.type}
- status: ${task.status}, ${task.reason}
- ordered: ${task.created_at.toISOString()}
`
}

/**
 * An event for a reader, under its number; nothing for what only programs read. Whatever the agent or
 * the repository had a say in is code that it cannot break out of.
 */
function markdownOf(event: SessionEvent): string {
  const [who, ...blocks] = partsOf(event) ?? []
  if (who === undefined) return ''
  const { artifact } = event
  const whole = typeof artifact === 'string' ? [`The whole of it is ${inlineCode(artifact)}.`] : []
  const head = `## ${event.seq} · ${who} · ${event.processed_at ?? 'not read yet'}`
  return ['', head, ...blocks, ...whole]
    .map((part) => `${part}\n`)
    .join('\n')
    .slice(1)
}

/** Who speaks, and what is said. */
function partsOf(event: SessionEvent): [who: string, ...blocks: string[]] | null {
  switch (event.type) {
    case 'user.message':
      return [
        event['mode'] === undefined ? 'Order' : 'Message',
        fenced(textOf(event['content']), 'markdown'),
      ]
    case 'system.message':
      return ['Server', fenced(textOf(event['content']))]
    case 'agent.message':
      return ['Agent', fenced(textOf(event['content']), 'markdown')]
    case 'agent.tool_use':
    case 'agent.mcp_tool_use':
      return [`Tool ${inlineCode(String(event['name']))}`, fenced(shown(event['input']), 'json')]
    case 'agent.tool_result':
    case 'agent.mcp_tool_result':
      return [
        event['is_error'] === true ? 'Result, an error' : 'Result',
        fenced(textOf(event['content'])),
      ]
    default:
      return event.type.startsWith('task.') ||
        event.type.startsWith('workspace.') ||
        event.type === 'session.error'
        ? [event.type, fenced(shown(payloadOf(event)), 'json')]
        : null
  }
}

/** The text of a message's or a result's content; a block of another kind is named. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content
    .map((block: unknown) => {
      const text: unknown = Reflect.get(Object(block), 'text')
      return typeof text === 'string' ? text : `[${String(Reflect.get(Object(block), 'type'))}]`
    })
    .join('\n')
}

function shown(value: unknown): string {
  return JSON.stringify(value, null, 2) ?? ''
}

/** What an event says beyond what its heading does. */
function payloadOf(event: SessionEvent): object {
  const {
    id: _id,
    type: _type,
    seq: _seq,
    session_id: _session,
    thread_id: _thread,
    attempt: _attempt,
    processed_at: _time,
    task_id: _task,
    ...payload
  } = event
  return payload
}
