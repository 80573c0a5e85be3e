/** What signs for endpoints is known to the scrubber, and only what does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { SigningSecrets } from '../../src/delivery/signing-secrets.ts'
import { createLog } from '../../src/log.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { getEndpoint } from '../../src/store/endpoints.ts'
import { createEndpoint, rotateEndpoint } from '../../src/tasks/endpoints.ts'
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
  assert.equal(hides(first), false)
})
