import { setTimeout as wait } from 'node:timers/promises'
import { say, script, use, when } from '@longhaul/testing'
import { copyParked, type ParkedCopy } from '../packages/server/test/support/parked-rows.ts'
import { connectTo } from '../packages/server/test/support/postgres.ts'
import { sandboxProcessesOf } from '../packages/server/test/support/world.ts'
import type { Bench } from './entry.ts'
import { openPlace, type Place } from './place.ts'
import { residentMb } from './processes.ts'

const parkedAtSizeOne = 10_000
const answered = 50
/** A process that has just done something gets this long to come to rest. */
const restMs = 10_000
const pages = 100
const said = 'Written, with leave.'

const scenario = script(
  when('Write with leave', use('Bash', { command: 'echo with leave > leave.txt' }), say(said)),
)

/** What ten thousand tasks that wait for humans hold of a node, and whether they go on. */
export const parked: Bench = {
  onRequest: true,
  entries: [
    {
      name: 'parked-memory',
      what: 'what 10,000 parked tasks add to the resident memory of a server at rest',
      unit: 'MB',
      aim: { atMost: 5 },
    },
    {
      name: 'parked-processes',
      what: 'processes in sandboxes while 10,000 tasks are parked',
      unit: 'processes',
      aim: { atMost: 0 },
    },
    {
      name: 'parked-resumed',
      what: 'of 50 of them, chosen at random and answered, those that ended as their agent says',
      unit: 'ratio',
      aim: { atLeast: 1 },
    },
  ],
  async measure(signal, size) {
    await using place = await openPlace([scenario])
    const task = await parkOne(place, signal)
    const store = await connectTo(place.dataDir)
    try {
      const before = await restingMb(place, signal)
      const copies = await copyParked(store, { taskId: task, copies: parkedAtSizeOne * size })
      const after = await restingMb(place, signal)
      await readLists(place)
      const read = await restingMb(place, signal)
      // The last one is what pages of a hundred leave, whatever their number.
      console.error(`resident: ${[before, after, read].map((mb) => mb.toFixed(1)).join(', ')} MB`)
      const processes = sandboxProcessesOf(place.dataDir).length
      return {
        'parked-memory': after - before,
        'parked-processes': processes,
        'parked-resumed': (await resume(place, { copies, signal })) / answered,
      }
    } finally {
      await store.end()
    }
  },
}

async function parkOne(place: Place, signal: AbortSignal): Promise<string> {
  const { id: agent } = await place.json<{ id: string }>('/v1/agents', {
    method: 'POST',
    body: JSON.stringify({
      name: 'asking',
      model: 'claude-sonnet-5-5',
      tools: [
        {
          type: 'agent_toolset_20260401',
          configs: [{ name: 'bash', permission_policy: { type: 'always_ask' } }],
        },
      ],
    }),
  })
  const files = { 'README.md': 'A repository.\n' }
  const { url } = await place.github.createRepository({ owner: 'acme', name: 'asked', files })
  const instructions = 'Write with leave.'
  const { id } = await place.order({ repoUrl: url, instructions, agent })
  await reached(place, { id, reason: 'waiting_approval', signal })
  return id
}

async function readLists(place: Place): Promise<void> {
  for (const list of ['/v1/tasks?', '/v1/sessions?', '/v1/approvals?status=pending&'])
    for (let n = 0; n < pages; n += 1) await place.json(`${list}limit=100`)
}

async function restingMb(place: Place, signal: AbortSignal): Promise<number> {
  await wait(restMs, undefined, { signal })
  return residentMb(place.pid)
}

/** How many end as they should. */
async function resume(
  place: Place,
  { copies, signal }: { readonly copies: readonly ParkedCopy[]; readonly signal: AbortSignal },
): Promise<number> {
  const chosen = copies.toSorted(() => Math.random() - 0.5).slice(0, answered)
  for (const { taskId, approvalId } of chosen)
    await place.json(`/v1/tasks/${taskId}/approvals/${approvalId}`, {
      method: 'POST',
      body: JSON.stringify({ decision: 'allow' }),
    })
  let ended = 0
  for (const { taskId: id } of chosen) {
    const summary = await reached(place, { id, reason: 'done', signal })
    if (summary === said) ended += 1
  }
  return ended
}

/** Resolves when the task is there, with its summary; rejects when it ended otherwise. */
async function reached(
  place: Place,
  { id, reason, signal }: { readonly id: string; readonly reason: string; signal: AbortSignal },
): Promise<string | undefined> {
  for (;;) {
    const task = await place.json<{
      status: string
      reason: string
      message: string | null
      result: { summary: string } | null
    }>(`/v1/tasks/${id}`)
    if (task.reason === reason) return task.result?.summary
    if (task.status === 'completed' || task.status === 'failed')
      throw new Error(`${id} ended as ${task.reason}: ${task.message}`)
    await wait(200, undefined, { signal })
  }
}
