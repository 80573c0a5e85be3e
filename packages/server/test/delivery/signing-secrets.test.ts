/** What signs for endpoints is known to the scrubber, and only what does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { SigningSecrets } from '../../src/delivery/signing-secrets.ts'
import { createLog } from '../../src/log.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { insertDelivery } from '../../src/store/deliveries.ts'
import { getEndpoint } from '../../src/store/endpoints.ts'
import type { Store } from '../../src/store/open.ts'
import { updateTask } from '../../src/store/tasks.ts'
import { createEndpoint, rotateEndpoint } from '../../src/tasks/endpoints.ts'
import { openTestApp } from '../http/fixture.ts'
import { startPostgres } from '../support/postgres.ts'

const given = {
  url: 'https://hooks.example/',
  name: '',
  events: null,
  payload: 'full',
  task_id: null,
} as const
const caller = { keyId: 'key_none', name: 'tests', scopes: [] }

test('a secret is known from its endpoint’s making, with and without its prefix, and stays in its row', async () => {
  await using postgres = await startPostgres()
  const scrubber = new Scrubber([])
  await using store = await postgres.openStore({ scrubber })
  await using signing = new SigningSecrets({ store, scrubber, clock, log: createLog('silent') })
  const make = () =>
    store.db.transaction().execute((trx) => createEndpoint(trx, { clock }, given, caller))
  const first = (await make()) ?? assert.fail('it was not made')
  const second = (await make()) ?? assert.fail('it was not made')
  await signing.look()
  const hides = ({ secret }: { readonly secret: string }) =>
    scrubber.text(`${secret} ${secret.slice(6)}`) === 'whsec_[secret] [secret]'
  assert.ok(hides(first) && hides(second))

  const rotated = (await rotateEndpoint({ store, clock }, first.id)) ?? assert.fail('it is gone')
  assert.notEqual(rotated.secret, first.secret)
  await Promise.all([signing.look(), signing.look()])
  assert.ok(hides(first) && hides(rotated) && hides(second), 'for a day both sign')
  assert.equal((await getEndpoint(store.db, second.id))?.secret, second.secret)

  const last = (await rotateEndpoint({ store, clock }, first.id)) ?? assert.fail('it is gone')
  await signing.look()
  assert.ok(hides(rotated) && hides(last) && hides(second))
  // What signs no longer is forgotten together, once it is much.
  assert.ok(hides(first))
  await insertMany(store, { count: 500, taskId: null })
  await signing.look()
  await store.pool.query("delete from endpoints where name = 'many'")
  await signing.look()
  assert.ok(hides(rotated) && hides(last) && hides(second))
  assert.equal(hides(first), false)
})

test('thousands of endpoints of tasks push out no secret of a key, and are known while they are told something', async () => {
  await using server = await openTestApp()
  const { store } = server
  const make = await server.send('POST', '/v1/endpoints', { body: { url: given.url } })
  const { secret } = (await make.json()) as { readonly secret: string }
  const { id: taskId } = await server.order()
  await insertMany(store, { count: 2003, taskId })

  const warned: unknown[] = []
  const log = Object.assign(createLog('silent'), { warn: (o: unknown) => warned.push(o) })
  const known = async (): Promise<readonly [key: boolean, first: boolean, last: boolean]> => {
    const scrubber = new Scrubber([])
    await using signing = new SigningSecrets({ store, scrubber, clock, log })
    await signing.look()
    await signing.look()
    const hides = (word: string) => scrubber.text(word) !== word
    return [hides(secret), hides(secretOf(1)), hides(secretOf(2003))]
  }
  assert.deepEqual(await known(), [true, false, true])
  assert.deepEqual(warned, [{ leftOut: 3 }])

  await updateTask(store.db, taskId, { status: 'failed', reason: 'cancelled' })
  assert.deepEqual(await known(), [true, false, false])
  const [about, now] = [{ sessionId: null, taskId: null, attempt: null }, new Date(clock.now())]
  await insertDelivery(store.db, {
    ...{ ...about, id: 'dlv_1', endpointId: 'many-1', type: 'task.failed', url: given.url },
    ...{ body: '{}', nextTryAt: now, createdBy: null, now },
  })
  assert.deepEqual(await known(), [true, true, false])
  assert.equal(warned.length, 1)
})

const secretOf = (n: number): string => `whsec_${'0'.repeat(40 - String(n).length)}${n}abc`

/** Endpoints that are newer than all others, each newer than the one before it. */
async function insertMany(
  store: Store,
  o: { readonly count: number; readonly taskId: string | null },
): Promise<void> {
  await store.pool.query(
    `insert into endpoints (id, url, name, payload, secret, task_id, created_by, created_at, updated_at)
    select 'many-' || n, 'https://hooks.example/', 'many', 'full', 'whsec_' || lpad(n::text, 40, '0') || 'abc',
      $2::text, 'key_none', now(), now() + make_interval(secs => n)
    from generate_series(1, $1::int) as n`,
    [o.count, o.taskId],
  )
}
