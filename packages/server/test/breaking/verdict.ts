import type { Task } from '@longhaul/client/contract'
import { Webhook } from 'standardwebhooks'
import { workQueueName } from '../../src/queue/work-queue.ts'
import { secrets } from '../support/world.ts'
import type { Callers } from './callers.ts'
import { groupsOf, workspacesOf } from './host.ts'
import type { Ordered } from './orders.ts'
import type { Reading } from './reader.ts'
import type { Stage } from './stage.ts'

/** What was lost or came twice; each has a sentence that says what. */
export interface Losses {
  readonly events: string[]
  readonly tasks: string[]
  readonly turns: string[]
  readonly effects: string[]
  readonly leftovers: string[]
}

/** Looks at everything that is to hold once all tasks have ended. */
export async function judge(o: {
  readonly stage: Stage
  readonly callers: Callers
  readonly ordered: readonly Ordered[]
  readonly readings: ReadonlyMap<string, Reading>
}): Promise<Losses> {
  const { stage, callers, ordered, readings } = o
  const losses: Losses = { events: [], tasks: [], turns: [], effects: [], leftovers: [] }
  for (const each of ordered) {
    const task = await callers.get<Task>(`/v1/tasks/${each.id}`)
    judgeEnd(losses, each, task)
    await judgeLog(losses, { stage, each, reading: readings.get(each.id) })
    await judgeEffects(losses, { stage, each, task })
  }
  // An answer that was stored, and then asked for again. One that was cut off by a kill in the very
  // moment of its delivery is the one request that a crash may repeat.
  for (const { conversation, turn, acknowledged } of stage.model.duplicates)
    if (acknowledged) losses.turns.push(`turn ${turn} of ${conversation} was asked twice`)
  losses.turns.push(...stage.model.violations)
  losses.leftovers.push(...(await leftoversIn(stage)))
  // What a session left on another node goes with that node's next sweep, which only a node that runs has.
  losses.leftovers.push(...stage.nodes.flatMap(({ dataDir }) => workspacesOf(dataDir)))
  losses.leftovers.push(...groupsOf(ordered.map(({ sessionId }) => sessionId)))
  return losses
}

function judgeEnd(losses: Losses, { kind, id }: Ordered, task: Task): void {
  const { status, reason } = kind.ends
  if (task.status === status && task.reason === reason) return
  const said = `${task.status}, ${task.reason}: ${task.error?.message ?? task.message}`
  losses.tasks.push(`${kind.name} (${id}) ended as ${said}`)
}

/** Dense in the store, with one end, and every number once and in order over the stream. */
async function judgeLog(
  losses: Losses,
  o: { readonly stage: Stage; readonly each: Ordered; readonly reading: Reading | undefined },
): Promise<void> {
  const { each, reading } = o
  const rows = await o.stage.query<{ seq: string; type: string }>(
    `select e.seq::text, e.type from events e where e.session_id = '${each.sessionId}' order by e.seq`,
  )
  const gap = rows.findIndex(({ seq }, at) => Number(seq) !== at + 1)
  if (gap >= 0) losses.events.push(`${each.id}: event ${gap + 1} is ${rows[gap]?.seq}`)
  const ends = rows.filter(({ type }) => type === 'task.completed' || type === 'task.failed')
  if (ends.length !== 1) losses.events.push(`${each.id}: it has ${ends.length} ends`)
  if (rows.at(-1)?.type !== 'session.status_terminated')
    losses.events.push(`${each.id}: its log ends with ${rows.at(-1)?.type}`)
  const numbers = reading?.numbers ?? []
  const wrong = numbers.findIndex((seq, at) => seq !== at + 1)
  if (wrong >= 0 || numbers.length !== rows.length)
    losses.events.push(
      `${each.id}: its reader had ${numbers.length} of ${rows.length}, number ${wrong + 1} was ${numbers[wrong]}`,
    )
}

async function judgeEffects(
  losses: Losses,
  { stage, each, task }: { readonly stage: Stage; readonly each: Ordered; readonly task: Task },
): Promise<void> {
  const { kind, repository, path } = each
  const kept = (await repository.branches()).filter((name) => name !== 'main')
  // What was done before a cancel is kept on a branch of its own.
  const own = kept.filter((name) => !name.endsWith('-wip'))
  if (own.length !== kind.published || kept.length > Math.max(1, kind.published))
    losses.effects.push(`${each.id}: branches ${kept.join(', ') || 'none'}`)
  if (repository.pullRequests.length !== kind.published)
    losses.effects.push(`${each.id}: ${repository.pullRequests.length} pull requests`)
  if (kind.published === 1 && task.result?.branch) {
    const sum = await repository.fileAt(task.result.branch, 'sum.sh')
    if (sum !== 'echo $(( $1 + $2 ))\n') losses.effects.push(`${each.id}: published ${sum}`)
  }
  const calls = stage.receiver.received.filter((call) => call.path === path)
  const ids = new Set(calls.map(({ headers }) => headers['webhook-id']))
  if (ids.size !== 1) losses.effects.push(`${each.id}: ${ids.size} final webhook ids`)
  for (const { body, headers } of calls) {
    try {
      new Webhook(secrets.callback).verify(body, headers)
    } catch (error) {
      losses.effects.push(`${each.id}: a callback is not signed: ${String(error)}`)
    }
  }
}

const leftInStore: readonly (readonly [what: string, sql: string])[] = [
  ['slots', 'select id from sessions where slot is not null'],
  ['left places', 'select session_id as id from left_places'],
  ['work', `select id from pgboss.job where state <= 'active' and name = '${workQueueName}'`],
  ['approvals', `select id from approvals where status = 'pending'`],
  ['deliveries', 'select id from deliveries where delivered_at is null and gave_up_at is null'],
  ['reservations', 'select id from key_reservations'],
]

/** Neither a slot, nor work, a lease, a question, reserved money or something to deliver may be left. */
export async function leftoversIn({ query }: Pick<Stage, 'query'>): Promise<string[]> {
  const left: string[] = []
  for (const [what, sql] of leftInStore) {
    const rows = await query<{ id: string }>(sql)
    if (rows.length > 0) left.push(`${what}: ${rows.map(({ id }) => id).join(', ')}`)
  }
  return left
}
