import { randomBytes } from 'node:crypto'
import type { EndpointPatch, NewEndpoint, TestWebhookBody } from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'
import { insertDelivery } from '../store/deliveries.ts'
import {
  disableEndpoint,
  enableEndpoint,
  getEndpoint,
  insertEndpoint,
  rotateSecret,
  updateEndpoint,
} from '../store/endpoints.ts'
import type { Store } from '../store/open.ts'
import type { EndpointRow, Trx } from '../store/tables.ts'

/** Random bytes of a secret. */
const secretBytes = 32
/** How long the secret before a rotation signs beside the new one. */
const overlapMs = 24 * 3_600_000

interface Deps {
  readonly store: Store
  readonly clock: Clock
}

/** A secret as Standard Webhooks writes them. */
export function mintSecret(): string {
  return `whsec_${randomBytes(secretBytes).toString('base64')}`
}

/** Makes an endpoint that is told of the caller's tasks; undefined: it has as many as it may. */
export function createEndpoint(
  trx: Trx,
  { clock }: Pick<Deps, 'clock'>,
  given: NewEndpoint,
  caller: Caller,
): Promise<EndpointRow | undefined> {
  return insertEndpoint(trx, {
    ...given,
    id: newId('endp', clock),
    secret: mintSecret(),
    createdBy: caller.keyId,
    now: new Date(clock.now()),
  })
}

/** Changes an endpoint, for what happens from now on; undefined: there is none. */
export function changeEndpoint(
  { store, clock }: Deps,
  id: string,
  { disabled, ...patch }: EndpointPatch,
): Promise<EndpointRow | undefined> {
  const now = new Date(clock.now())
  return store.db.transaction().execute(async (trx) => {
    if ((await updateEndpoint(trx, { id, patch, now })) === undefined) return undefined
    if (disabled === true) await disableEndpoint(trx, { id, reason: 'requested', now })
    if (disabled === false) await enableEndpoint(trx, { id, now })
    return getEndpoint(trx, id)
  })
}

/** Gives an endpoint a new secret; for a day both sign. Undefined: there is none. */
export function rotateEndpoint({ store, clock }: Deps, id: string) {
  const now = clock.now()
  const until = new Date(now + overlapMs)
  const secret = mintSecret()
  return store.db
    .transaction()
    .execute((trx) => rotateSecret(trx, { id, secret, until, now: new Date(now) }))
}

/** Writes a delivery that says nothing, to be sent once; its id. */
export async function testEndpoint(
  { store, clock }: Deps,
  endpoint: EndpointRow,
  caller: Caller,
): Promise<string> {
  const now = new Date(clock.now())
  const id = newId('dlv', clock)
  const type = 'endpoint.test'
  const data = { endpoint_id: endpoint.id }
  const body: TestWebhookBody = { type, timestamp: now.toISOString(), data, context: null }
  await store.db.transaction().execute((trx) =>
    insertDelivery(trx, {
      ...{ id, type, url: endpoint.url, endpointId: endpoint.id, nextTryAt: now, now },
      ...{ sessionId: null, taskId: null, attempt: null, createdBy: caller.keyId },
      body: JSON.stringify(body),
    }),
  )
  return id
}
