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

/**
 * What a step of priority (10) is worth, in seconds of waiting: so work of low priority goes before new
 * work of high priority once it has waited 20 minutes longer, and never starves.
 */
const secondsPerStep = 600

/**
 * Up to `room` pieces of waiting work in the order in which they are claimed: what has only to `end` first,
 * whatever its limits; then by priority, in which each step is worth so much waiting, and by age. Work
 * whose key or repository is at its limit is passed over, and holds nobody else back.
 *
 * Exact while the caller has the lock of claims: nothing else makes work active. At least one piece is
 * chosen when one may be: the first of all is also the first of its key, and of its repository.
 */
export async function chooseWork(
  trx: Trx,
  o: Limits & { readonly queue: string; readonly room: number; readonly ending: number },
): Promise<Chosen[]> {
  const { queue, room, ending, perKey = null, perRepository = null } = o
  const { rows } = await sql<Chosen>`
    with work as materialized (
      select job.id, job.priority, job.singleton_key as session, job.created_on,
        job.state = 'active' as active,
        job.state < 'active' and job.start_after <= now() as waits,
        job.created_on - make_interval(secs => job.priority * ${secondsPerStep}::float8 / 10) as place,
        keys.id as key,
        coalesce((keys.limits ->> 'concurrency')::int, ${perKey}::int) as key_limit,
        lower(tasks."order" ->> 'repoUrl') as repository,
        coalesce((repositories.settings ->> 'concurrency')::int, ${perRepository}::int)
          as repository_limit
      from pgboss.job
        left join tasks on tasks.session_id = job.singleton_key
        left join keys on keys.id = tasks.created_by
        left join repositories on lower(repositories.url) = lower(tasks."order" ->> 'repoUrl')
      where job.name = ${queue} and job.state <= 'active'),
    keys_busy as (select key, count(*) as n from work where active group by key),
    repositories_busy as (select repository, count(*) as n from work where active group by repository),
    free as (
      select distinct on (work.session) work.*,
        case when work.key is not null then key_limit - coalesce(keys_busy.n, 0) end as key_room,
        case when work.repository is not null
          then repository_limit - coalesce(repositories_busy.n, 0) end as repository_room
      from work
        left join keys_busy on keys_busy.key = work.key
        left join repositories_busy on repositories_busy.repository = work.repository
      where work.waits
        and not exists (select from work as busy where busy.active and busy.session = work.session)
      order by work.session, work.created_on),
    ranked as (
      select *,
        row_number() over (partition by key order by priority >= ${ending} desc, place, created_on, id)
          as nth_of_key,
        row_number() over (partition by repository
          order by priority >= ${ending} desc, place, created_on, id) as nth_of_repository
      from free
      where priority >= ${ending}
        or (coalesce(key_room, 1) > 0 and coalesce(repository_room, 1) > 0))
    select id, priority from ranked
    where priority >= ${ending}
      or (nth_of_key <= coalesce(key_room, nth_of_key)
        and nth_of_repository <= coalesce(repository_room, nth_of_repository))
    order by priority >= ${ending} desc, place, created_on, id
    limit ${room}`.execute(trx)
  return rows
}
