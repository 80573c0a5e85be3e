import type { SessionEvent } from '@longhaul/client/contract'
import { readEvents } from '../events/read.ts'
import { openCalls } from '../store/open-calls.ts'
import type { Progress } from '../tasks/progress.ts'
import type { Attempt } from './phase.ts'

/** Events before a checkpoint that are looked through for calls: those of a call are mostly close. */
const eventsMax = 200
/** Events after a checkpoint that are looked through, the last ones. */
const laterEventsMax = 1000
/** Most calls that the agent is told of, the last ones. */
const callsMax = 20
const callCharsMax = 500

interface Log {
  readonly deps: Pick<Attempt['deps'], 'store'>
  readonly lease: Pick<Attempt['lease'], 'sessionId'>
}

/** Tool calls that were cut off, in words: of an attempt that died, or of a process of this one. */
export async function cutOffCalls({ deps, lease }: Log): Promise<string[]> {
  const { sessionId } = lease
  return (await openCalls(deps.store.db, { sessionId, limit: callsMax })).map(inWords)
}

/** Calls whose results are younger than the checkpoint that took the place of the workspace. */
export async function lostCalls(
  { deps, lease }: Log,
  rebuild: Progress['rebuild'],
): Promise<string[]> {
  const { seq, until = 0 } = rebuild ?? {}
  if (seq === undefined) return []
  const after = Math.max(0, seq - eventsMax, until - laterEventsMax)
  const calls = callsIn(await toolEvents({ deps, lease }, after))
  return calls
    .filter(({ end }) => end !== null && end > seq && end <= until)
    .map(({ call }) => call)
    .slice(-callsMax)
}

function toolEvents({ deps, lease }: Log, after: number): Promise<SessionEvent[]> {
  return readEvents(deps.store.db, {
    sessionId: lease.sessionId,
    after,
    limit: eventsMax + laterEventsMax,
    types: ['agent.tool_use', 'agent.tool_result', 'agent.mcp_tool_use', 'agent.mcp_tool_result'],
  })
}

interface Call {
  readonly call: string
  /** Number of its result's event; null: it has none. */
  readonly end: number | null
}

function callsIn(events: readonly SessionEvent[]): Call[] {
  const calls = new Map<unknown, Call>()
  for (const event of events) {
    const of = event['tool_use_id'] ?? event['mcp_tool_use_id']
    if (event.type.endsWith('_use')) {
      calls.set(of, { call: inWords(event), end: null })
    } else {
      const begun = calls.get(of)
      if (begun !== undefined) calls.set(of, { ...begun, end: event.seq })
    }
  }
  return [...calls.values()]
}

function inWords(call: Readonly<Record<string, unknown>>): string {
  return `${call['name']} ${JSON.stringify(call['input'])}`.slice(0, callCharsMax)
}
