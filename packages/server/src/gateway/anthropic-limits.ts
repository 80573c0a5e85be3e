import type { IncomingMessage, ServerResponse } from 'node:http'
import { refusalBytesMax } from './anthropic-refusals.ts'
import { readBody } from './body.ts'
import type { RouteContext } from './context.ts'
import { pickHeaders } from './headers.ts'
import type { ModelBody } from './model-body.ts'
import { limitOf } from './quota.ts'
import { refuseModel } from './refuse.ts'

/** Refusals that may be about a quota. */
export function mayBeLimit(status: number): boolean {
  return status === 400 || status === 429 || status === 529
}

/**
 * Hands on a refusal that may be about a quota, once that is told: what the provider says of it is for
 * every session of this process, and for this one's task. An agent's client takes 400 for a mistake of
 * its own and gives up; so a usage limit is 429 to it, as every other limit.
 */
export async function passRefusal(
  { breaker, hooks, clock }: RouteContext,
  o: {
    readonly answer: IncomingMessage
    readonly response: ServerResponse
    readonly body: Pick<ModelBody, 'lastToolUses'>
    /** Headers that go along. */
    readonly names: readonly string[]
  },
): Promise<void> {
  const { answer, response } = o
  const { statusCode: status = 502, headers } = answer
  const said = await readBody(answer, refusalBytesMax).catch(() => Buffer.alloc(0))
  answer.destroy()
  const now = clock.now()
  const limit = limitOf({ status, headers, said: said.toString('utf8'), now })
  if (limit === null) breaker.answered()
  else {
    breaker.limited(limit.reset, limit.isDate)
    if (limit.reset !== null) {
      await hooks.beforeParking(o.body.lastToolUses)
      hooks.onQuota(limit.reset, limit.isDate)
    }
    if (status === 400) return refuseLimited(response, { reset: limit.reset, now })
  }
  if (response.headersSent || response.destroyed) return
  response.writeHead(status, pickHeaders(headers, o.names)).end(said)
}

async function refuseLimited(
  response: ServerResponse,
  { reset, now }: { readonly reset: number | null; readonly now: number },
): Promise<void> {
  const back = reset === null ? '' : ` until ${new Date(reset).toISOString()}`
  await refuseModel(response, {
    status: 429,
    type: 'rate_limit_error',
    message: `The account’s usage limit at the model’s provider is reached${back}.`,
    headers: reset === null ? {} : { 'retry-after': String(Math.ceil((reset - now) / 1000)) },
  })
}
