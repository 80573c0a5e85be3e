import type { Priority } from '@longhaul/client/contract'
import { sql } from 'kysely'
import { fromKysely, type PgBoss } from 'pg-boss'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { Hint } from '../store/hint.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import { Listener } from '../store/listen.ts'
import type { Store } from '../store/open.ts'
import { claimSession } from '../store/sessions.ts'
import type { Trx } from '../store/tables.ts'
import { affected, createBoss } from './boss.ts'
import { type Chosen, chooseWork, type Limits } from './choose.ts'

/** pg-boss's queue; one piece of work in it is the right to run one session. */
export const workQueueName = 'sessions'
const queue = workQueueName
const channel = 'longhaul_work'
/** Any order of numbers; gaps leave room for more. Equal ones go by age. */
const priorities: Readonly<Record<Priority, number>> = { high: 30, medium: 20, low: 10 }
/** Of work whose task has only to end, with what it made kept. */
const ending = 100
/** Of work that is being claimed, within the claim's transaction. */
const claimed = 1_000_000
const queueOptions = {
  // One piece of work of a session waits and one is active, at most; the session is its key.
  policy: 'stately' as const,
  /**
   * A worker that is silent this long has lost its lease. Touched every 3 s; whoever looks for work
   * looks for such leases, too, every second: so the work of a dead one is claimed within 15 s.
   */
  heartbeatSeconds: 12,
  /** pg-boss's longest; a task's limit is an hour below it. */
  expireInSeconds: 24 * 3600,
  // Attempts are counted by the runner: here a lapsed lease is claimable at once, without end.
  retryLimit: 1_000_000,
  retryDelay: 0,
  /** pg-boss deletes what waited longer than this. */
  retentionSeconds: 365 * 24 * 3600,
  deleteAfterSeconds: 24 * 3600,
}
const bossStopMs = 5000
/** A worker that is stopped amid a claim keeps all others from claiming for so long. */
const claimIdleMsMax = 5000

/** The right to run a session, until it lapses or another claim takes it. */
export interface Lease {
  readonly workId: string
  readonly sessionId: string
  /** The session's attempt: the fence of everything that this lease writes. */
  readonly attempt: number
  /** pg-boss's own fence. */
  readonly retryCount: number
}

/** A lease, as pg-boss knows it. */
type Claim = Pick<Lease, 'workId' | 'retryCount'>

/** With the task's key and repository, so that what is at its limit is passed over unread. */
interface Work {
  readonly sessionId: string
  readonly key?: string | null
  readonly repository?: string | null
}

/**
 * The work of all nodes, over pg-boss, with a claim loop of our own: pg-boss's limits of what runs
 * at once are not exact, and ours is.
 *
 * A piece of work waits (perhaps until a time), is active under one lease, and ends completed or
 * deleted. An active one waits again when its worker hands it back, when its worker was silent for
 * 12 s, or when its node starts anew. Whatever claims it next raises the session's attempt, and the
 * lease before can no longer touch, complete or release it.
 *
 * A transaction that locks more than one of them locks the work first, then the task, then the
 * session, here and everywhere: two orders of locking are a deadlock. Every method with a
 * transaction of the caller's locks work, so it comes before the others. (Rows that the transaction
 * itself inserted are nobody else's to wait for, and may be there already.)
 */
export class WorkQueue implements AsyncDisposable {
  readonly #store: Store
  readonly #node: string
  readonly #clock: Clock
  readonly #log: Log
  readonly #boss: PgBoss
  readonly #hint: Hint
  #listener: Listener | undefined

  /** Makes pg-boss's schema if absent. Rejects when the database does not answer. */
  static async open(o: {
    readonly store: Store
    readonly clock: Clock
    readonly log: Log
    /** The name of this data directory's node, `store.node`. */
    readonly node: string
  }): Promise<WorkQueue> {
    const work = new WorkQueue(o)
    try {
      // Several servers may make the schema at once; who comes late tries again.
      await work.#boss.start({ attempts: 10 })
      await work.#boss.createQueue(queue, queueOptions)
      // One that was made by an earlier version has that one's.
      const { heartbeatSeconds } = queueOptions
      await work.#boss.updateQueue(queue, { heartbeatSeconds })
      work.#listener = await Listener.open({ ...o, channel, onHint: () => work.#hint.give() })
    } catch (error) {
      await work[Symbol.asyncDispose]()
      throw error
    }
    return work
  }

  private constructor(o: { store: Store; clock: Clock; log: Log; node: string }) {
    this.#store = o.store
    this.#node = o.node
    this.#clock = o.clock
    this.#log = o.log
    this.#hint = new Hint(o.clock)
    this.#boss = createBoss(o)
  }

  /**
   * Puts a session's work into the queue with the caller's transaction. Changes nothing when work of
   * the session waits already; while it is active, one more may wait behind it.
   */
  async enqueue(
    trx: Trx,
    o: { readonly sessionId: string; readonly priority: Priority; readonly startAfter?: Date },
  ): Promise<void> {
    const { rows } = await sql<Omit<Work, 'sessionId'>>`
      select created_by as key, lower("order" ->> 'repoUrl') as repository
      from tasks where session_id = ${o.sessionId}`.execute(trx)
    const work: Work = { sessionId: o.sessionId, ...rows[0] }
    await this.#boss.send(queue, work, {
      priority: priorities[o.priority],
      singletonKey: o.sessionId,
      ...(o.startAfter === undefined ? {} : { startAfter: o.startAfter }),
      db: fromKysely(trx),
    })
    await notify(trx)
  }

  /**
   * Claims up to `free` pieces of work within the limits, in the order of `chooseWork`; perhaps fewer
   * than there are, but none only when there are none. With nothing
   * free it may still claim one, work that was expedited or whose task ran out of time: such a task
   * does not wait for others to end. Each claim is a new attempt of its session, on this node.
   */
  async claim(o: Limits & { readonly free: number }): Promise<Lease[]> {
    const { active, isUrgent } = await this.#look()
    const isFull = Math.min(o.free, o.limit === null ? o.free : o.limit - active) <= 0
    // Most looks of a node that is busy end here: without the lock, which others wait for.
    if (isFull && !isUrgent) return []
    return this.#store.db.transaction().execute(async (trx) => {
      await sql`select set_config('idle_in_transaction_session_timeout', ${String(claimIdleMsMax)}, true)`.execute(
        trx,
      )
      // One claim at a time: so the count below is exact, and nobody else makes it grow.
      await sql`select pg_advisory_xact_lock(hashtextextended('longhaul claim', 0))`.execute(trx)
      await this.#takeBackLapsed(trx)
      await this.#expediteOverdue(trx)
      const { active } = await this.#look(trx)
      const room = Math.min(o.free, o.limit === null ? o.free : o.limit - active)
      if (room < 0) return []
      const looked = room === 0 ? [ending] : [ending, ...Object.values(priorities)]
      const wish = { ...o, queue, ending, room: Math.max(room, 1), priorities: looked }
      const leases: Lease[] = []
      for (const { id, data, retryCount } of await this.#fetch(trx, await chooseWork(trx, wish))) {
        const { sessionId } = data
        const at = { node: this.#node, now: new Date(this.#clock.now()) }
        const { attempt } = await claimSession(trx, { ...at, id: sessionId })
        leases.push({ workId: id, sessionId, attempt, retryCount })
      }
      return leases
    })
  }

  /**
   * Whether the lease is still this one's: no other claim has its session, and it was not given back.
   * Changes nothing, and waits for nobody.
   */
  async holds(lease: Lease): Promise<boolean> {
    const { rows } = await sql`
      select from pgboss.job join sessions on sessions.id = job.singleton_key
      where job.name = ${queue} and job.id = ${lease.workId} and job.state = 'active'
        and job.retry_count = ${lease.retryCount} and sessions.attempt = ${lease.attempt}`.execute(
      this.#store.db,
    )
    return rows.length > 0
  }

  /** Keeps the lease for another 12 s. False: it is lost, and the attempt has to stop. */
  async touch(lease: Lease): Promise<boolean> {
    return affected(await this.#boss.touch(queue, claimOf(lease))) > 0
  }

  /** Ends the work with the caller's transaction. Throws LeaseLost, so that it is rolled back. */
  async complete(trx: Trx, lease: Lease): Promise<void> {
    const response = await this.#boss.complete(queue, claimOf(lease), null, { db: fromKysely(trx) })
    if (affected(response) === 0) throw new LeaseLost(lease.sessionId, lease.attempt)
    // The limit has room for another one, perhaps of another node.
    await notify(trx)
  }

  /**
   * Hands the work back: it waits at its old place again, from `delayMs` on (0: at once, and so is
   * work that was expedited). Changes nothing when the lease is lost.
   */
  async release(lease: Lease, o: { readonly delayMs: number }): Promise<void> {
    await this.#store.db.transaction().execute(async (trx) => {
      if ((await this.#giveBack(trx, [lease])) === 0) return
      await sql`
        update pgboss.job set start_after = now() + ${o.delayMs}::int * interval '1 millisecond'
        where name = ${queue} and id = ${lease.workId} and priority < ${ending}`.execute(trx)
      await notify(trx)
    })
  }

  /**
   * Makes everything that was active on this node claimable again; returns its sessions. To be
   * called before the first claim: that the data directory could be locked proves that the process
   * which held these leases is gone.
   */
  recover(): Promise<string[]> {
    return this.#store.db.transaction().execute(async (trx) => {
      const { rows } = await sql<Lease>`
        select job.id as "workId", job.retry_count as "retryCount",
          sessions.id as "sessionId", sessions.attempt as "attempt"
        from pgboss.job join sessions on sessions.id = job.singleton_key
        where job.name = ${queue} and job.state = 'active' and sessions.node = ${this.#node}
        order by job.created_on`.execute(trx)
      if (rows.length === 0) return []
      await this.#giveBack(trx, rows)
      await notify(trx)
      return rows.map((row) => row.sessionId)
    })
  }

  /**
   * Puts a session's work before all other, with the caller's transaction: work that waits can be
   * claimed at once, without its delay and beyond the limit; active work will be, should it come
   * back. Until the transaction ends nobody else claims, ends or hands back the work.
   */
  async expedite(trx: Trx, sessionId: string): Promise<void> {
    const raise = () =>
      sql`
      update pgboss.job set priority = ${ending}, start_after = least(start_after, now())
      where name = ${queue} and singleton_key = ${sessionId} and state <= 'active'`.execute(trx)
    // What goes back into the queue is a new row of pg-boss: who waited for the old one looks again.
    if (!(await raise()).numAffectedRows) await raise()
    await notify(trx)
  }

  /**
   * Ends the delay of a session's waiting work with the caller's transaction: it can be claimed at
   * once, and its age counts from when it was to start. False when nothing waits.
   */
  async hasten(trx: Trx, sessionId: string): Promise<boolean> {
    const { numAffectedRows = 0n } = await sql`
      update pgboss.job set start_after = least(start_after, now()),
        created_on = greatest(created_on, least(start_after, now()))
      where name = ${queue} and singleton_key = ${sessionId} and state < 'active'`.execute(trx)
    await notify(trx)
    return numAffectedRows > 0n
  }

  /**
   * Takes a session's waiting work out of the queue with the caller's transaction. True when it
   * waited and is gone; false when nothing waited, or when it is active too.
   */
  async cancelQueued(trx: Trx, sessionId: string): Promise<boolean> {
    const { rows } = await sql<{ id: string; active: boolean }>`
      select id, state = 'active' as active from pgboss.job
      where name = ${queue} and singleton_key = ${sessionId} and state <= 'active'
      for update`.execute(trx)
    const ids = rows.filter((row) => !row.active).map((row) => row.id)
    if (ids.length === 0) return false
    await this.#boss.deleteJob(queue, ids, { db: fromKysely(trx) })
    return ids.length === rows.length
  }

  /** Resolves when there may be something to claim, and after 1 s in any case; rejects on abort. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#hint.wait(signal)
  }

  /** What waits, delayed or not, and what is active, on all nodes together. */
  depth(): Promise<{ waiting: number; active: number }> {
    return countWork(this.#store.db)
  }

  /** Whether the queue is open and hears of new work at once. */
  ready(): boolean {
    return this.#listener?.listening === true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.[Symbol.asyncDispose]()
    this.#listener = undefined
    await this.#boss
      .stop({ graceful: true, timeout: bossStopMs })
      .catch((error) => this.#log.warn({ err: error }, 'the queue did not stop cleanly'))
  }

  /**
   * Has pg-boss make exactly these active, in this order. It takes the highest priorities, so these
   * get one above all for the moment. What somebody else locks meanwhile is left to the next claim.
   */
  async #fetch(trx: Trx, chosen: readonly Chosen[]) {
    const ids = chosen.map(({ id }) => id)
    if (ids.length === 0) return []
    const { numAffectedRows = 0n } = await sql`
      update pgboss.job set priority = ${claimed} where name = ${queue} and id in (
        select id from pgboss.job where name = ${queue} and id = any(${ids}::uuid[])
          and state < 'active' for update skip locked)`.execute(trx)
    if (numAffectedRows === 0n) return []
    const jobs = await this.#boss.fetch<Work>(queue, {
      ...{ batchSize: Number(numAffectedRows), minPriority: claimed, db: fromKysely(trx) },
    })
    await sql`
      update pgboss.job set priority = before.priority
      from unnest(${ids}::uuid[], ${chosen.map(({ priority }) => priority)}::int[])
        as before (id, priority)
      where job.name = ${queue} and job.id = before.id and job.priority = ${claimed}`.execute(trx)
    return jobs.toSorted((a, b) => ids.indexOf(a.id) - ids.indexOf(b.id))
  }

  /** Leases whose workers were silent for too long, whoever else looks for them less often. */
  async #takeBackLapsed(trx: Trx): Promise<void> {
    const { rows } = await sql<Claim>`
      select id as "workId", retry_count as "retryCount" from pgboss.job
      where ${lapsed}`.execute(trx)
    if (rows.length > 0) await this.#giveBack(trx, rows)
  }

  /** How much is active, and whether anything waits that a node without room has to look at. */
  async #look(db: Store['db'] = this.#store.db): Promise<{ active: number; isUrgent: boolean }> {
    const { rows } = await sql<{ active: number; isUrgent: boolean }>`
      select
        (select count(*)::int from pgboss.job where name = ${queue} and state = 'active') as active,
        exists (select from pgboss.job
          where name = ${queue} and state < 'active' and not blocked and priority >= ${ending})
        or exists (select from pgboss.job where ${lapsed})
        or exists (select from tasks, pgboss.job where ${overdue(this.#clock)}) as "isUrgent"`.execute(
      db,
    )
    return rows[0] ?? { active: 0, isUrgent: true }
  }

  /** Waiting work of tasks whose time is up: there is only an end to be written. */
  async #expediteOverdue(trx: Trx): Promise<void> {
    await sql`
      update pgboss.job set priority = ${ending}, start_after = least(start_after, now())
      from tasks
      where ${overdue(this.#clock)}`.execute(trx)
  }

  /** pg-boss's way back into the queue: as failed, retried at once. Fenced; returns how many. */
  async #giveBack(trx: Trx, leases: readonly Claim[]): Promise<number> {
    return affected(
      await this.#boss.fail(queue, leases.map(claimOf), null, { db: fromKysely(trx) }),
    )
  }
}

/** Active work whose worker was silent for too long. */
const lapsed = sql`name = ${queue} and state = 'active'
  and heartbeat_on + heartbeat_seconds * interval '1 second' < now()`

/** Work that waits, of a task that started and has no time left. */
function overdue(clock: Clock) {
  return sql`tasks.status = 'running' and job.singleton_key = tasks.session_id
    and tasks.started_at + (tasks."order" ->> 'timeLimitMinutes')::int * interval '1 minute'
      + tasks.parked_ms * interval '1 millisecond' <= ${new Date(clock.now())}
    and job.name = ${queue} and job.state < 'active' and job.priority < ${ending}`
}

/** What pg-boss's calls are fenced by. */
function claimOf(lease: Claim): { id: string; retryCount: number } {
  return { id: lease.workId, retryCount: lease.retryCount }
}

async function notify(trx: Trx): Promise<void> {
  await sql`select pg_notify(${channel}, '')`.execute(trx)
}

async function countWork(db: Store['db']): Promise<{ waiting: number; active: number }> {
  const { rows } = await sql<{ waiting: number; active: number }>`
    select count(*) filter (where state < 'active') as waiting,
      count(*) filter (where state = 'active') as active
    from pgboss.job where name = ${queue} and state <= 'active'`.execute(db)
  return rows[0] ?? { waiting: 0, active: 0 }
}
