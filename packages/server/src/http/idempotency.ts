import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { claimKey, keepResponse, removeExpiredKeys } from '../store/idempotency.ts'
import type { Store } from '../store/open.ts'
import type { IdempotencyRow, Trx } from '../store/tables.ts'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'

/** A key is remembered for 30 days; after that it is as good as new. */
const keyMs = 30 * 24 * 3600 * 1000

/** The header of a route that creates; `once` reads it. */
export const idempotencyHeaders = z.object({
  'idempotency-key': z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'expected 1 to 255 visible ASCII characters without spaces')
    .optional()
    .describe(
      'Makes the request safe to repeat for 30 days: the same body is answered with the same 201 and `Idempotency-Replayed: true`, another body with 409.',
    ),
})

/** What a request made: its representation, and where it is from now on. */
interface Created<T> {
  readonly body: T
  readonly location?: string
  /** The task that it is, or belongs to: once that is deleted, its representation is forgotten. */
  readonly taskId?: string
}

/**
 * Creates what a POST asks for, in one transaction, and answers the body of its 201: with an
 * `Idempotency-Key`, once. A repeat with the same body is answered what the first one was; of
 * requests that race one creates and the others wait for it. A request that fails leaves its key
 * unused. Keys are the caller's own, on one path each; bodies are compared as JSON, whatever the
 * order of their fields. Sets `location` and `Idempotency-Replayed`.
 */
export async function once<T>(
  { store, clock, log }: { readonly store: Store; readonly clock: Clock; readonly log: Log },
  c: Context<AppEnv>,
  create: (trx: Trx) => Promise<Created<T>>,
): Promise<T> {
  const key = c.req.header('idempotency-key')
  if (key === undefined) {
    const created = await store.db.transaction().execute(create)
    if (created.location !== undefined) c.header('location', created.location)
    return created.body
  }
  const now = clock.now()
  const expiredBefore = new Date(now - keyMs)
  const held = { keyId: c.get('caller').keyId, route: `${c.req.method} ${c.req.path}`, key }
  const requestHash = hashOf(await c.req.json())
  const answer = await store.db.transaction().execute(async (trx) => {
    const earlier = await claimKey(trx, { ...held, requestHash, now: new Date(now), expiredBefore })
    if (earlier !== null) return { ...recall(earlier, requestHash), isReplay: true }
    const { body, location = null, taskId = null } = await create(trx)
    const made = { location, response: JSON.stringify(body) }
    await keepResponse(trx, { ...held, ...made, taskId })
    return { ...made, isReplay: false }
  })
  if (answer.isReplay) c.header('idempotency-replayed', 'true')
  else await sweep({ store, log }, expiredBefore)
  if (answer.location !== null) c.header('location', answer.location)
  return JSON.parse(answer.response) as T
}

/** What the first request was answered. */
function recall(row: IdempotencyRow, requestHash: string) {
  const { location, response } = row
  if (row.request_hash !== requestHash)
    throw refusals.conflict(
      'idempotency_key_reused',
      'idempotency-key: it was used for another body; send a new key with this one.',
    )
  if (response === null)
    throw refusals.conflict(
      'task_deleted',
      'idempotency-key: what it made was deleted; send a new key to make it again.',
    )
  return { location, response }
}

/** With each new key some old ones go, so that there are never many of them. */
async function sweep(o: { readonly store: Store; readonly log: Log }, expiredBefore: Date) {
  // Nobody waits for it but this caller, whose task is there: the next one tries again.
  await removeExpiredKeys(o.store.db, expiredBefore).catch((error: unknown) =>
    o.log.warn({ err: error }, 'expired idempotency keys could not be removed'),
  )
}

/**
 * The hash of a JSON value; the order of fields does not matter. Nobody has judged the value yet: it
 * may be nested deeper than calls can be, so that neither this nor `JSON.stringify` recurses.
 */
function hashOf(value: unknown): string {
  const pieces: string[] = []
  const waiting: Piece[] = [{ value }]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if ('text' in next) pieces.push(next.text)
    else if (typeof next.value !== 'object' || next.value === null)
      pieces.push(JSON.stringify(next.value))
    else for (const piece of piecesOf(next.value).toReversed()) waiting.push(piece)
  }
  return createHash('sha256').update(pieces.join('')).digest('hex')
}

/** JSON text, or a value that is still to be written. */
type Piece = { readonly text: string } | { readonly value: unknown }

function piecesOf(value: object): Piece[] {
  if (Array.isArray(value))
    return [
      { text: '[' },
      ...value.flatMap((entry: unknown, at) => [{ text: at === 0 ? '' : ',' }, { value: entry }]),
      { text: ']' },
    ]
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    { text: '{' },
    ...fields.flatMap(([name, inner], at) => [
      { text: `${at === 0 ? '' : ','}${JSON.stringify(name)}:` },
      { value: inner },
    ]),
    { text: '}' },
  ]
}
