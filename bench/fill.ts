import type { Store } from '../packages/server/src/store/open.ts'
import { writtenColumns } from '../packages/server/test/support/written-columns.ts'

/** What a store holds after months of work, and how it is spread. */
export interface Filling {
  readonly tasks: number
  readonly eventsOfEach: number
  /** Of the one task whose log is long. */
  readonly longLog: number
}

/** Tasks of one statement. */
const batch = 2000
/** Repositories, words and labels that the tasks are about. */
export const repositories = 500
export const words = 5000
export const labels = 20

/** Ids as the server makes them: 26 digits that sort by age. */
export const idOf = (prefix: string, n: number): string =>
  `${prefix}_01${String(n).padStart(24, '0')}`

/**
 * Copies a task that has ended, and its session, under new ids, with other words, repositories, labels,
 * ends and times, and gives each a log of events of 300 to 500 bytes. Straight into the tables: through
 * the API it would take days.
 */
export async function fill(
  pool: Store['pool'],
  o: Filling & { readonly template: string; readonly signal: AbortSignal },
): Promise<void> {
  const { template, signal } = o
  const client = await pool.connect()
  try {
    // References are right by construction; looking each up would take most of the time.
    await client.query(`set session_replication_role = replica; set synchronous_commit = off`)
    const columns = await writtenColumns(client, 'tasks')
    for (let from = 1; from <= o.tasks; from += batch) {
      signal.throwIfAborted()
      const upTo = Math.min(o.tasks, from + batch - 1)
      const range = [from, upTo]
      await client.query(sessions, [...range, template, o.eventsOfEach, o.tasks])
      await client.query(insertTasks(columns), [...range, template, o.tasks])
      await client.query(events, [...range, o.eventsOfEach, 1])
    }
    await client.query(events, [1, 1, o.longLog, o.eventsOfEach + 1])
    await client.query('update sessions set last_seq = $1 where id = $2', [
      o.longLog,
      idOf('sesn', 1),
    ])
    await client.query('reset session_replication_role; reset synchronous_commit')
    for (const table of ['sessions', 'tasks', 'events'])
      await client.query(`vacuum (analyze) ${table}`)
  } finally {
    client.release()
  }
}

const id = (prefix: string) => `'${prefix}_01' || lpad(n::text, 24, '0')`
/** One every half a minute, the newest now. */
const madeAt = (total: string) =>
  `date_trunc('milliseconds', now()) - (${total}::int - n) * interval '30 seconds'`

const sessions = `
  insert into sessions select (jsonb_populate_record(of, jsonb_build_object(
    'id', ${id('sesn')}, 'conversation_id', gen_random_uuid(), 'slot', null, 'node', null,
    'last_seq', $4::int, 'cost_usd', (n % 400) / 100.0,
    'created_at', ${madeAt('$5')}, 'updated_at', ${madeAt('$5')}))).*
  from generate_series($1::int, $2::int) as n, sessions as of
    join tasks on tasks.session_id = of.id and tasks.id = $3`

const insertTasks = (columns: string) => `
  insert into tasks (${columns}) select ${columns} from (select (jsonb_populate_record(of, jsonb_build_object(
    'id', ${id('task')}, 'session_id', ${id('sesn')},
    'type', (array['refactor', 'bug-fix', 'analysis', 'refactor'])[1 + n % 4],
    'priority', (array['low', 'medium', 'high'])[1 + n % 3],
    'status', case when n % 20 = 0 then 'failed' else 'completed' end,
    'reason', case when n % 20 = 0 then 'checks_failed' when n % 7 = 0 then 'no_changes' else 'done' end,
    'order', of.order || jsonb_build_object(
      'repoUrl', 'https://git.example.com/acme/repository-' || n % ${repositories},
      'labels', jsonb_build_array('team-' || n % ${labels}),
      'instructions', 'Rework word' || n % ${words} || ' of area' || n % 97 || ' so that part' || n
        || ' no longer needs ' || repeat('the older way of doing it and its tests ', 4)),
    'created_at', ${madeAt('$4')}, 'started_at', ${madeAt('$4')},
    'completed_at', ${madeAt('$4')} + interval '10 minutes'))).*
  from generate_series($1::int, $2::int) as n, tasks as of where of.id = $3) as made`

const events = `
  insert into events (session_id, seq, id, type, thread_id, attempt, payload, created_at)
  select ${id('sesn')}, seq, 'sevt_01' || lpad(n::text, 12, '0') || lpad(seq::text, 12, '0'),
    case when seq % 3 = 0 then 'agent.message' when seq % 3 = 1 then 'agent.tool_use'
      else 'agent.tool_result' end,
    null, 1,
    case when seq % 3 = 0 then jsonb_build_object('content', jsonb_build_array(
        jsonb_build_object('type', 'text', 'text', repeat(md5((n + seq)::text) || ' ', 9))))
      when seq % 3 = 1 then jsonb_build_object('name', 'bash', 'evaluated_permission', 'allow',
        'input', jsonb_build_object('command', repeat('npm test -- part' || n || ' ', 12)))
      else jsonb_build_object('tool_use_id', md5((n + seq - 1)::text), 'is_error', seq % 30 = 2,
        'content', jsonb_build_array(jsonb_build_object('type', 'text',
          'text', repeat('ok ' || md5(seq::text) || ' ', 9))))
    end, now() + seq * interval '1 second'
  from generate_series($1::int, $2::int) as n, generate_series($4::int, $3::int) as seq`
