/** How much runs at once, whoever claims; and in which order. */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import type { Priority } from '@longhaul/client/contract'
import { systemClock as clock } from '../../src/clock.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import type { Limits } from '../../src/queue/choose.ts'
import { type Lease, WorkQueue } from '../../src/queue/work-queue.ts'
import { insertKey } from '../../src/store/keys.ts'
import type { Store } from '../../src/store/open.ts'
import { insertRepository } from '../../src/store/repositories.ts'
import { insertTask } from '../../src/store/tasks.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'

const log = createLog('silent')
const nodes = ['a', 'b', 'c', 'd'] as const
/** Three a node. */
const workersCount = 12
let postgres: TestPostgres
let store: Store
let queues: WorkQueue[]
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
  queues = []
  for (const node of nodes) queues.push(await WorkQueue.open({ store, clock, log, node }))
})
after(async () => {
  for (const queue of queues) await queue[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})
beforeEach(() => store.pool.query('delete from pgboss.job'))

const unlimited: Limits = { limit: null }

async function makeKey(limits: { concurrency?: number } = {}): Promise<string> {
  const id = newId('key', clock)
  const now = new Date()
  await insertKey(store.db, {
    ...{ id, hash: id, name: 'racing', scopes: ['*'], createdBy: null, limits, now },
  })
  return id
}

interface Order {
  readonly key?: string | null
  readonly repository?: string
  readonly priority?: Priority
  /** Minutes that it has waited. */
  readonly waited?: number
}

async function enqueue(o: Order = {}): Promise<string> {
  const { key = null, repository = 'acme/app', priority = 'medium', waited = 0 } = o
  const sessionId = await makeSession(store.db)
  const repoUrl = `https://github.com/${repository}`
  await insertTask(store.db, {
    ...{ id: newId('task', clock), sessionId, type: 'refactor', priority, createdBy: key },
    ...{ status: 'pending', reason: 'queued', now: new Date() },
    order: { type: 'refactor', repoUrl, instructions: 'Mend.', priority, timeLimitMinutes: 5 },
  })
  await store.db.transaction().execute((trx) => queueOf(0).enqueue(trx, { sessionId, priority }))
  await store.pool.query(
    "update pgboss.job set created_on = created_on - $1 * interval '1 minute' where singleton_key = $2",
    [waited, sessionId],
  )
  return sessionId
}

function queueOf(n: number): WorkQueue {
  return queues[n % queues.length] ?? assert.fail('there is no queue')
}

async function complete(lease: Lease): Promise<void> {
  await store.db.transaction().execute((trx) => queueOf(0).complete(trx, lease))
}

/** The most that is active of one key, of one repository, and in all. */
async function busiest(): Promise<{ key: number; repository: number; all: number }> {
  const { rows } = await store.pool.query(`
    with active as (
      select tasks.created_by as key, tasks."order" ->> 'repoUrl' as repository
      from pgboss.job join tasks on tasks.session_id = job.singleton_key where job.state = 'active')
    select (select count(*) from active)::int as all,
      coalesce((select max(n) from (select count(*) as n from active group by key) as k), 0)::int as key,
      coalesce((select max(n) from (select count(*) as n from active group by repository) as r), 0)::int
        as repository`)
  return rows[0]
}

test('12 workers that race for a limit of 2 never run 3, over 100 rounds: of a key, of a repository, in all', async () => {
  const keys = [await makeKey(), await makeKey(), await makeKey()]
  const repositories = ['acme/app', 'acme/lib', 'acme/site', 'acme/docs']
  const order = (n: number) =>
    enqueue({ key: keys[n % 3] ?? null, repository: repositories[(n * 7) % 4] ?? '' })
  let made = 0
  for (; made < 40; made += 1) await order(made)
  const most = { key: 0, repository: 0, all: 0 }
  let active: Lease[] = []
  for (let round = 0; round < 100; round += 1) {
    // Every other round the limit in all is what binds; in the others the key's and the repository's.
    const limits = { limit: round % 2 === 0 ? 2 : 5, perKey: 2, perRepository: 2 }
    const claims = Array.from({ length: workersCount }, (_, n) =>
      queueOf(n).claim({ ...limits, free: 1 + (n % 3) }),
    )
    const ended = active.splice(0, round % 2 === 0 ? active.length : 1).map(complete)
    const claimed = (await Promise.all(claims)).flat()
    await Promise.all(ended)
    active = [...active, ...claimed]
    assert.equal(new Set(active.map(({ sessionId }) => sessionId)).size, active.length)
    const now = await busiest()
    assert.equal(now.all, active.length)
    assert.ok(now.key <= 2 && now.repository <= 2, JSON.stringify(now))
    assert.ok(now.all <= limits.limit, JSON.stringify(now))
    for (const name of ['key', 'repository', 'all'] as const)
      most[name] = Math.max(most[name], now[name])
    for (const _ of claimed) {
      await order(made)
      made += 1
    }
  }
  assert.deepEqual([most.key, most.repository], [2, 2], 'the limits were reached')
  assert.ok(most.all > 2, String(most.all))
})

test('12 workers that race for a limit of 2 in all run exactly 2, every time', async () => {
  for (let n = 0; n < 20; n += 1) await enqueue()
  for (let round = 0; round < 20; round += 1) {
    const claims = Array.from({ length: workersCount }, (_, n) =>
      queueOf(n).claim({ limit: 2, free: 4 }),
    )
    const leases = (await Promise.all(claims)).flat()
    assert.equal(leases.length, 2)
    assert.equal((await busiest()).all, 2)
    for (const lease of leases) {
      await complete(lease)
      await enqueue()
    }
  }
})

test('a key and a repository may have limits of their own, below and above the ones for each', async () => {
  const [narrow, wide] = [await makeKey({ concurrency: 1 }), await makeKey({ concurrency: 4 })]
  for (let n = 0; n < 6; n += 1) {
    await enqueue({ key: narrow, repository: `acme/narrow${n}` })
    await enqueue({ key: wide, repository: `acme/wide${n}` })
  }
  const claimed = await queueOf(0).claim({ ...unlimited, free: 20, perKey: 2 })
  assert.equal(claimed.length, 5)
  await store.pool.query('delete from pgboss.job')

  const now = new Date()
  const settings = { concurrency: 1 }
  await insertRepository(store.db, {
    ...{ id: newId('repo', clock), url: 'https://github.com/Acme/Own', settings },
    ...{ createdBy: null, now },
  })
  for (let n = 0; n < 4; n += 1) {
    await enqueue({ repository: 'acme/own' })
    await enqueue({ repository: 'acme/other' })
  }
  assert.equal((await queueOf(0).claim({ ...unlimited, free: 20, perRepository: 3 })).length, 4)
})

test('work whose key is at its limit holds nobody else back, and goes on when a slot frees', async () => {
  const busy = await makeKey()
  const [first, second] = [await enqueue({ key: busy }), await enqueue({ key: busy })]
  const limits = { ...unlimited, perKey: 1, free: 10 }
  const [lease, ...more] = await queueOf(0).claim(limits)
  assert.deepEqual([lease?.sessionId, more], [first, []])
  const other = await enqueue({ key: await makeKey() })
  assert.deepEqual(
    (await queueOf(1).claim(limits)).map(({ sessionId }) => sessionId),
    [other],
  )
  assert.ok(lease)
  await complete(lease)
  assert.deepEqual(
    (await queueOf(2).claim(limits)).map(({ sessionId }) => sessionId),
    [second],
  )
})

test('low priority gives way to high, until it has waited 20 minutes longer', async () => {
  const fresh = await enqueue({ priority: 'low', waited: 19 })
  const old = await enqueue({ priority: 'low', waited: 21 })
  const medium = await enqueue({ priority: 'medium', waited: 9.5 })
  const high = await enqueue({ priority: 'high' })
  const claimed = await queueOf(0).claim({ ...unlimited, free: 4 })
  assert.deepEqual(
    claimed.map(({ sessionId }) => sessionId),
    [old, high, medium, fresh],
  )
})

test('what has only to end is claimed whatever the limits, and keeps its priority when it comes back', async () => {
  const key = await makeKey()
  const limits = { limit: 1, perKey: 1, free: 1 }
  await enqueue({ key })
  await queueOf(0).claim(limits)
  const ending = await enqueue({ key })
  assert.deepEqual(await queueOf(0).claim({ ...limits, free: 0 }), [])
  await store.db.transaction().execute((trx) => queueOf(0).expedite(trx, ending))
  const [lease] = await queueOf(0).claim({ ...limits, free: 0 })
  assert.equal(lease?.sessionId, ending)
  const { rows } = await store.pool.query(
    'select max(priority)::int as most from pgboss.job where singleton_key = $1',
    [ending],
  )
  assert.equal(rows[0].most, 100)
})

test('what has only to end is one more than each limit at most: of a key, of a repository, in all', async () => {
  const expedite = (id: string) =>
    store.db.transaction().execute((trx) => queueOf(0).expedite(trx, id))
  const race = async (limits: Limits) => {
    const claims = Array.from({ length: workersCount }, (_, n) =>
      queueOf(n).claim({ ...limits, free: 4 }),
    )
    return (await Promise.all(claims)).flat()
  }
  const key = await makeKey({ concurrency: 1 })
  for (let n = 0; n < 6; n += 1) {
    await expedite(await enqueue({ key, repository: `acme/k${n}` }))
    await expedite(await enqueue({ key: await makeKey(), repository: 'acme/app' }))
  }
  const leases = await race({ limit: null, perKey: 9, perRepository: 2 })
  const most = await busiest()
  assert.deepEqual([most.key, most.repository, leases.length], [2, 3, 5])
  for (const lease of leases) await complete(lease)
  await race({ limit: 2 })
  assert.equal((await busiest()).all, 3)
})

test('what may be claimed is found behind a thousand that may not, whether or not they say whose they are', async () => {
  const key = await makeKey()
  await enqueue({ key, repository: 'acme/full' })
  const limits = { limit: null, perKey: 1, free: 1 }
  assert.equal((await queueOf(0).claim(limits)).length, 1)
  await enqueue({ key, repository: 'acme/full', waited: 60 })
  // Copies of its row: a thousand enqueued one by one take a while.
  const copy = async (table: string, id: string, more: Record<string, string>) => {
    const { rows } = await store.pool.query(
      `select attname as name from pg_attribute where attrelid = $1::regclass and attnum > 0
        and not attisdropped and attgenerated = ''`,
      [table],
    )
    const names = rows.map(({ name }) => String(name))
    const values = names.map((name) => more[name] ?? `"${name}"`)
    await store.pool.query(
      `insert into ${table} (${names.map((name) => `"${name}"`).join()})
        select ${values.join()} from ${table}, generate_series(1, 1000) as n where ${id}`,
    )
  }
  const of = `(select singleton_key from pgboss.job where state < 'active' limit 1)`
  await copy('sessions', `id = ${of}`, { id: `id || n`, conversation_id: 'gen_random_uuid()' })
  await copy('tasks', `session_id = ${of}`, { id: 'id || n', session_id: 'session_id || n' })
  await copy('pgboss.job', `singleton_key = ${of}`, {
    ...{ id: 'gen_random_uuid()', singleton_key: 'singleton_key || n' },
  })
  const free = await enqueue({ key: await makeKey(), repository: 'acme/free' })
  const claimOne = async () => {
    const [lease] = await queueOf(1).claim(limits)
    assert.equal(lease?.sessionId, free)
    await store.pool.query(`update pgboss.job set state = 'created' where id = $1`, [lease?.workId])
  }
  await claimOne()
  // As an earlier version enqueued them.
  await store.pool.query(`update pgboss.job set data = data - 'key' - 'repository'`)
  await claimOne()
})
