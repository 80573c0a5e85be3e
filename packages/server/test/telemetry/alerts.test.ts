/** What an operator is told, and how often. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { systemClock } from '../../src/clock.ts'
import { Breaker } from '../../src/gateway/breaker.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { Metrics } from '../../src/metrics.ts'
import { oldestWaitMs } from '../../src/queue/depth.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { AuditWriter } from '../../src/store/audit-writer.ts'
import { disableEndpoint, givenUpEndpoints, insertEndpoint } from '../../src/store/endpoints.ts'
import type { Store } from '../../src/store/open.ts'
import { changeEndpoint } from '../../src/tasks/endpoints.ts'
import { Alerts } from '../../src/telemetry/alerts.ts'
import { conditionsOf } from '../../src/telemetry/conditions.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'
import { until } from '../support/until.ts'

const minuteMs = 60_000
const fine = { problem: null }
let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore()
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

interface Line {
  readonly level: number
  readonly msg: string
  readonly alert: string
}

/** Alerts over a clock of the test's, with what they write and count. */
function watched(given: Partial<Parameters<typeof conditionsOf>[0]> = {}) {
  const clock = new ManualClock()
  const lines: Line[] = []
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) })
  const metrics = new Metrics()
  const conditions = conditionsOf({
    oldestWaitMs: () => Promise.resolve(null),
    queueWaitMs: 15 * minuteMs,
    disk: () => Promise.resolve(fine),
    memory: () => null,
    isAuditBehind: () => false,
    modelLimitedUntil: () => null,
    givenUpEndpoints: () => Promise.resolve({ ids: [], count: 0 }),
    clock,
    ...given,
  })
  const alerts = new Alerts({ conditions, clock, log, metrics })
  return {
    ...{ clock, alerts, lines },
    said: () => lines.map(({ level, alert }) => [level, alert]),
    names: () => alerts.list().map(({ name }) => name),
    async gauge(name: string) {
      const { text } = await metrics.render()
      return Number(new RegExp(`^longhaul_alert\\{name="${name}"\\} (.*)$`, 'm').exec(text)?.[1])
    },
  }
}

test('a task that waits too long for a slot raises an alert once, and its claim clears it', async () => {
  const log = createLog('silent')
  await using queue = await WorkQueue.open({ store, clock: systemClock, log, node: 'node-a' })
  const { alerts, said, names, gauge } = watched({ oldestWaitMs: () => oldestWaitMs(store.db) })
  const sessionId = await makeSession(store.db)
  const enqueue = (id: string, startAfter?: Date) =>
    store.db.transaction().execute((trx) =>
      queue.enqueue(trx, {
        ...{ sessionId: id, priority: 'low' },
        ...(startAfter && { startAfter }),
      }),
    )
  await enqueue(sessionId)
  const wait = (minutes: number) =>
    store.pool.query(
      `update pgboss.job set created_on = now() - $1 * interval '1 minute',
         start_after = least(start_after, now() - $1 * interval '1 minute')
       where singleton_key = $2`,
      [minutes, sessionId],
    )
  // What waits for its time is not late, however long it does.
  await enqueue(await makeSession(store.db), new Date(Date.now() + 3600_000))
  await wait(14)
  await alerts.look()
  assert.deepEqual([names(), await gauge('queue_waiting')], [[], 0])
  await wait(17)
  await alerts.look()
  await alerts.look()
  assert.deepEqual([names(), await gauge('queue_waiting')], [['queue_waiting'], 1])
  const [alert] = alerts.list()
  assert.equal(
    alert?.message,
    'The oldest task that could start has waited for 17 minutes, longer than QUEUE_WAIT_ALERT_MINUTES (15).',
  )
  assert.match(alert?.fix ?? '', /TASK_CONCURRENCY/)
  assert.equal((await queue.claim({ free: 1, limit: 100 })).length, 1)
  await alerts.look()
  await alerts.look()
  assert.deepEqual([names(), await gauge('queue_waiting')], [[], 0])
  assert.deepEqual(said(), [
    [40, 'queue_waiting'],
    [30, 'queue_waiting'],
  ])
})

test('a store that does not answer neither raises the alert of the queue nor clears it', async () => {
  let answer: () => Promise<number | null> = () => Promise.resolve(20 * minuteMs)
  const { alerts, names, clock, lines } = watched({ oldestWaitMs: () => answer() })
  await alerts.look()
  answer = () => Promise.reject(new Error('away'))
  await alerts.look()
  answer = () => Promise.withResolvers<number | null>().promise
  const looking = alerts.look()
  clock.advance(4000)
  await looking
  assert.deepEqual(names(), ['queue_waiting'])
  assert.equal(lines.length, 1)
})

test('with QUEUE_WAIT_ALERT_MINUTES=0 a task may wait as long as it does', async () => {
  const oldest = () => Promise.resolve(1e9)
  const { alerts, names } = watched({ oldestWaitMs: oldest, queueWaitMs: 0 })
  await alerts.look()
  assert.deepEqual(names(), [])
})

test('a date that is set, forward or back, raises an alert that ends after 15 minutes', async () => {
  const { alerts, names, clock, said, gauge } = watched()
  clock.advance(3600_000)
  await alerts.look()
  clock.step(4000)
  await alerts.look()
  assert.deepEqual(names(), [], 'time that passes, and a small step, are no jump')
  clock.step(3600_000)
  await alerts.look()
  assert.match(alerts.list()[0]?.message ?? '', /jumped 3600 s forward: it was set, or the machine/)
  assert.equal(await gauge('clock_jumped'), 1)
  clock.step(-7200_000)
  await alerts.look()
  assert.match(alerts.list()[0]?.message ?? '', /jumped 7200 s back/)
  clock.advance(15 * minuteMs - 1)
  await alerts.look()
  assert.deepEqual(names(), ['clock_jumped'])
  clock.advance(1)
  await alerts.look()
  assert.deepEqual(names(), [])
  assert.deepEqual(said(), [
    [50, 'clock_jumped'],
    [30, 'clock_jumped'],
  ])
})

test('a provider without capacity raises an alert until it is asked again', async () => {
  const limits = { breaker: null as Breaker | null }
  const { alerts, names, clock } = watched({
    modelLimitedUntil: () => limits.breaker?.closedUntil ?? null,
  })
  limits.breaker = new Breaker({ clock, metrics: new Metrics() })
  for (let n = 0; n < 3; n += 1) limits.breaker.limited(clock.now() + minuteMs)
  await alerts.look()
  assert.match(alerts.list()[0]?.message ?? '', /no capacity: no session asks it before 20/)
  // Whoever sets the date keeps nobody from asking for longer, or shorter.
  clock.step(-3600_000)
  assert.equal(limits.breaker.ask().kind, 'closed')
  clock.advance(minuteMs)
  assert.equal(limits.breaker.ask().kind, 'open')
  await alerts.look()
  assert.deepEqual(names(), ['clock_jumped'])
})

test('an audit that cannot be written raises an alert, and clears it once it is', async () => {
  const clock = new ManualClock()
  let isAway = true
  // The store's own, which refuses to begin anything while it is away.
  const db = new Proxy(store.db, {
    get: (target, name) => {
      if (isAway) throw new Error('away')
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  await using audit = new AuditWriter({
    ...{ store: { db, node: store.node }, clock, log: createLog('silent') },
  })
  const { alerts, names } = watched({ isAuditBehind: () => audit.isBehind })
  audit.append({ sessionId: null, kind: 'gateway', entry: {} })
  clock.advance(10_000)
  await alerts.look()
  assert.deepEqual(names(), [])
  clock.advance(1)
  await alerts.look()
  assert.deepEqual(names(), ['audit_behind'])
  isAway = false
  const flushed = audit.flush()
  await until('it to be written', () => {
    clock.advance(500)
    return !audit.isBehind
  })
  await flushed
  await alerts.look()
  assert.deepEqual(names(), [])
})

test('an endpoint that was disabled as failing raises an alert until somebody sees to it', async () => {
  const { db } = store
  const make = async (): Promise<string> => {
    const id = newId('endp', systemClock)
    const given = {
      url: 'https://hooks.example',
      name: '',
      events: null,
      payload: 'full',
      task_id: null,
    } as const
    const own = { id, secret: 'whsec_none', createdBy: 'key_none', now: new Date() }
    await db.transaction().execute(async (trx) => {
      await insertEndpoint(trx, { ...given, ...own })
      await disableEndpoint(trx, { id, reason: 'failing', now: new Date() })
    })
    return id
  }
  const { alerts, names } = watched({ givenUpEndpoints: () => givenUpEndpoints(db, 1) })
  await alerts.look()
  assert.deepEqual(names(), [])
  const [first, second] = [await make(), await make()]
  await alerts.look()
  assert.equal(
    alerts.list()[0]?.message,
    `Nothing arrived for five days, and nothing more is told to ${first}, and 1 more.`,
  )
  await changeEndpoint({ store, clock: systemClock }, first, { disabled: false })
  await alerts.look()
  assert.match(alerts.list()[0]?.message ?? '', new RegExp(`told to ${second}\\.$`))
  await changeEndpoint({ store, clock: systemClock }, second, { disabled: true })
  await alerts.look()
  assert.deepEqual(names(), [])
})

test('it looks by itself every 5 s, and not any more once it is closed', async () => {
  let problem: string | null = null
  const { alerts, names, clock } = watched({ disk: () => Promise.resolve({ problem }) })
  alerts.start()
  problem = 'The disk is full.'
  clock.advance(5000)
  await until('the alert', () => names().length === 1)
  problem = null
  clock.advance(5000)
  await until('its end', () => names().length === 0)
  await alerts[Symbol.asyncDispose]()
  assert.equal(clock.pending, 0)
})
