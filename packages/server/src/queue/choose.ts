import { sql } from 'kysely'
import type { Trx } from '../store/tables.ts'

/**
 * What may be active at once, on all nodes together; null: any number. A key and a repository may have
 * limits of their own, which count instead of the ones for each.
 */
export interface Limits {
  readonly limit: number | null
  readonly perKey?: number | null
  readonly perRepository?: number | null
}

/** A piece of work that is to be claimed, and its priority. */
export interface Chosen {
  readonly id: string
  readonly priority: number
}

interface Wish extends Limits {
  readonly queue: string
  readonly room: number
  /** The priority of what has only to end. */
  readonly ending: number
  /** Those that are looked at; others there are none. */
  readonly priorities: readonly number[]
}

/**
 * What a step of priority (10) is worth, in seconds of waiting: so work of low priority goes before new
 * work of high priority once it has waited 20 minutes longer, and never starves.
 */
const secondsPerStep = 600
/**
 * How much waiting work is ranked, from the first in order on: more only when nothing of that may be
 * claimed. Looking up the tasks of 50,000 took 1.4 s, under the lock of claims; of 200, some milliseconds.
 */
const firstMax = 200
const timesMore = 16

/**
 * Up to `room` pieces of waiting work in the order in which they are claimed: what has only to `end`
 * first, then by priority, in which each step is worth so much waiting, and by age. Work whose key or
 * repository is at its limit is passed over, and holds nobody else back; what has only to end may be
 * one more than each limit.
 *
 * Exact while the caller has the lock of claims: nothing else makes work active. At least one piece is
 * chosen when one may be: the first of all is also the first of its key, and of its repository.
 */
export async function chooseWork(trx: Trx, o: Wish): Promise<Chosen[]> {
  for (let most = firstMax; ; most *= timesMore) {
    const { looked, chosen } = await chooseAmong(trx, o, most)
    // Whoever got some asks again at once; what is at its limit by then is not looked at.
    if (chosen.length > 0 || looked < most) return chosen
  }
}

/**
 * Of the first `most` in order: their choice begins as that of all does. Of one priority the order is that
 * of age, in which pg-boss's index has them: so the first are read, and not all of them sorted.
 */
async function chooseAmong(
  trx: Trx,
  o: Wish,
  most: number,
): Promise<{ looked: number; chosen: Chosen[] }> {
  const { queue, room, ending, priorities, perKey = null, perRepository = null } = o
  const { rows } = await sql<Chosen & { looked: number }>`
    with active as materialized (
      select job.singleton_key as session, tasks.created_by as key,
        lower(tasks."order" ->> 'repoUrl') as repository
      from pgboss.job left join tasks on tasks.session_id = job.singleton_key
      where job.name = ${queue} and job.state = 'active'),
    keys_busy as materialized (
      select key, count(*) as n, coalesce((keys.limits ->> 'concurrency')::int, ${perKey}::int) - count(*) as room
      from active join keys on keys.id = key group by key, keys.limits),
    repositories_busy as materialized (
      select repository, count(*) as n,
        coalesce((repositories.settings ->> 'concurrency')::int, ${perRepository}::int) - count(*) as room
      from active left join repositories on lower(repositories.url) = repository
      where repository is not null group by repository, repositories.settings),
    first as materialized (
      select waiting.*,
        created_on - make_interval(secs => priority * ${secondsPerStep}::float8 / 10) as place
      from unnest(${priorities}::int[]) as of_priority cross join lateral (
        select id, priority, singleton_key as session, created_on from pgboss.job
        where name = ${queue} and state < 'active' and not blocked and priority = of_priority
          and start_after <= now()
          and not exists (select from active where session = singleton_key)
          and (priority >= ${ending} or (
            coalesce(data ->> 'key', '') not in (select key from keys_busy where room <= 0)
            and coalesce(data ->> 'repository', '') not in
              (select repository from repositories_busy where room <= 0)))
        order by created_on limit ${most}) as waiting
      order by priority >= ${ending} desc, place, created_on, id limit ${most}),
    work as materialized (
      select first.*, tasks.created_by as key, lower(tasks."order" ->> 'repoUrl') as repository,
        case when first.priority >= ${ending} then 1 else 0 end as more
      from first left join tasks on tasks.session_id = first.session),
    free as (
      select distinct on (work.session) work.*,
        case when keys.id is not null then more - coalesce(keys_busy.n, 0)
          + coalesce((keys.limits ->> 'concurrency')::int, ${perKey}::int) end as key_room,
        case when work.repository is not null then more - coalesce(repositories_busy.n, 0)
          + coalesce((repositories.settings ->> 'concurrency')::int, ${perRepository}::int) end
          as repository_room
      from work
        left join keys on keys.id = work.key
        left join repositories on lower(repositories.url) = work.repository
        left join keys_busy on keys_busy.key = work.key
        left join repositories_busy on repositories_busy.repository = work.repository
      order by work.session, work.created_on),
    ranked as (
      select *,
        row_number() over (partition by key order by more desc, place, created_on, id) as nth_of_key,
        row_number() over (partition by repository order by more desc, place, created_on, id)
          as nth_of_repository
      from free where coalesce(key_room, 1) > 0 and coalesce(repository_room, 1) > 0),
    chosen as (
      select * from ranked
      where nth_of_key <= coalesce(key_room, nth_of_key)
        and nth_of_repository <= coalesce(repository_room, nth_of_repository)
      order by more desc, place, created_on, id limit ${room})
    select chosen.id, chosen.priority, looked.n as looked
    from (select count(*)::int as n from first) as looked left join chosen on true
    order by chosen.more desc, chosen.place, chosen.created_on, chosen.id`.execute(trx)
  return {
    looked: rows[0]?.looked ?? 0,
    chosen: rows.flatMap(({ id, priority }) => (id === null ? [] : [{ id, priority }])),
  }
}
