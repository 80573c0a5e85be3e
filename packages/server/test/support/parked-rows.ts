import type pg from 'pg'
import { systemClock } from '../../src/clock.ts'
import { newId, uuidOf } from '../../src/ids.ts'
import { writtenColumns } from './written-columns.ts'

/** A copy of a parked task: it waits for an answer as the real one does. */
export interface ParkedCopy {
  readonly taskId: string
  readonly sessionId: string
  readonly approvalId: string
}

/** Copies of one statement. */
const batch = 1000

/**
 * Copies a task that is really parked, with everything in the store that belongs to it: its session, its
 * question, its log, its conversation. Ids of a task, a session, a conversation and an approval are the
 * copy's own wherever they are written, in the log and in the conversation too. What is not copied is
 * the workspace: each copy is as a session whose files were removed and whose slot was given back.
 */
export async function copyParked(
  client: pg.Client,
  o: { readonly taskId: string; readonly copies: number },
): Promise<ParkedCopy[]> {
  const copies = Array.from({ length: o.copies }, () => ({
    taskId: newId('task', systemClock),
    sessionId: newId('sesn', systemClock),
    approvalId: newId('appr', systemClock),
  }))
  const columns = await writtenColumns(client, 'tasks')
  for (let from = 0; from < copies.length; from += batch) {
    const some = copies.slice(from, from + batch)
    await client.query('begin')
    await client.query(`create temp table given on commit drop as ${given}`, [
      o.taskId,
      some.map(({ taskId }) => taskId),
      some.map(({ sessionId }) => sessionId),
      some.map(({ approvalId }) => approvalId),
      some.map(({ sessionId }) => uuidOf(sessionId)),
    ])
    for (const statement of statementsOf(columns)) await client.query(statement)
    await client.query('commit')
  }
  await client.query('analyze')
  return copies
}

/** What is copied, as `old_…`, beside the copies' own ids, and each a second younger than the next. */
const given = `
  select task.*, of.* from (
    select tasks.id as old_task, sessions.id as old_session, approvals.id as old_approval,
      sessions.conversation_id as old_conversation
    from tasks join sessions on sessions.id = session_id
      join approvals on task_id = tasks.id and approvals.status = 'pending'
    where tasks.id = $1 and parked_at is not null) as task,
  unnest($2::text[], $3::text[], $4::text[], $5::uuid[]) with ordinality
    as of (task, session, approval, conversation, n)`

/** Branches are named after the end of a task's id. */
function renamed(column: string): string {
  const ids = [
    ['old_task', 'task'],
    ['old_session', 'session'],
    ['old_approval', 'approval'],
    ['old_conversation::text', 'conversation::text'],
    ['right(old_task, 8)', 'right(task, 8)'],
  ]
  return ids.reduce((text, [old, its]) => `replace(${text}, ${old}, ${its})`, `${column}::text`)
}

/** Every row of a table as it is, but for these columns. */
function copied(table: string, where: string, changed: Readonly<Record<string, string>>): string {
  return `insert into ${table} ${copiesOf(table, where, changed)}`
}

function copiesOf(table: string, where: string, changed: Readonly<Record<string, string>>): string {
  const fields = Object.entries(changed).map(([column, value]) => `'${column}', ${value}`)
  return `select (jsonb_populate_record(of, jsonb_build_object(${fields.join(', ')}))).*
    from ${table} as of, given where ${where}`
}

/** `taskColumns`: those that are not computed from others. */
const statementsOf = (taskColumns: string): string[] => [
  copied('sessions', 'of.id = old_session', {
    ...{ id: 'session', conversation_id: 'conversation', slot: 'null', node: 'null' },
    created_at: `of.created_at - given.n * interval '1 second'`,
  }),
  `insert into tasks (${taskColumns}) select ${taskColumns} from (${copiesOf(
    'tasks',
    'of.id = old_task',
    {
      ...{ id: 'task', session_id: 'session', progress: `of.progress - 'node'` },
      created_at: `of.created_at - given.n * interval '1 second'`,
    },
  )}) as copies`,
  copied('approvals', 'of.id = old_approval', {
    ...{ id: 'approval', task_id: 'task', session_id: 'session' },
  }),
  // The content of a checkpoint is not: what is parked has changed nothing yet.
  copied('checkpoints', 'of.session_id = old_session and is_whole and of.bytes = 0', {
    ...{ id: `'chk_' || right(session, 26)`, session_id: 'session' },
  }),
  copied('events', 'of.session_id = old_session', {
    ...{ session_id: 'session', payload: `${renamed('of.payload')}::jsonb` },
  }),
  // Text that has to come back as it was, so it is not read as JSON here.
  `insert into transcript_entries
    (session_id, attempt, project_key, conversation_id, subpath, uuid, entry)
  select session, of.attempt, ${renamed('of.project_key')}, ${renamed('of.conversation_id')},
    of.subpath, of.uuid, (${renamed('of.entry')})::json
  from transcript_entries as of, given where of.session_id = old_session
  order by given.n, of.position`,
]
