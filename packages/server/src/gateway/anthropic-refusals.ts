import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HostPort } from '../config.ts'
import { readBody } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import type { ModelBody } from './model-body.ts'
import type { GatewayPolicy } from './policy.ts'
import { refuseModel } from './refuse.ts'

/** Where the model is; what is refused on the way there is said in the shape of its API. */
export type Model = NonNullable<GatewayPolicy['model']>

/** Of an upstream refusal, as much as is read for its message. */
export const refusalBytesMax = 64 * 1024

export async function deny(
  context: RouteContext,
  response: ServerResponse,
  why: string,
): Promise<void> {
  const target = targetOf(context.policy)
  context.record.denied({ ...target, route: 'anthropic', why }, { asked: askedOf(response.req) })
  await refuseModel(response, { status: 403, type: 'permission_error', message: why })
}

export function refused(context: RouteContext, why: string): void {
  context.record.refused({ ...targetOf(context.policy), route: 'anthropic', why })
}

function targetOf({ model }: GatewayPolicy): HostPort {
  return model === null ? { host: 'model', port: 443 } : hostOf(model.baseUrl)
}

/** A request that is refused, and where its answer goes. */
interface Refusable {
  readonly response: ServerResponse
  readonly body: Pick<ModelBody, 'lastToolUses'>
}

export async function refuseBudget(
  context: RouteContext,
  { response, body }: Refusable,
): Promise<void> {
  const message = `The budget of this session is spent (${context.meter.spentUsd.toFixed(4)} USD).`
  refused(context, message)
  await context.hooks.beforeParking(body.lastToolUses)
  context.hooks.onRefused({ why: 'budget', message })
  await refuseModel(response, { status: 403, type: 'billing_error', message })
}

export async function refuseKeyBudget(
  context: RouteContext,
  { response, body }: Refusable,
): Promise<void> {
  const message = 'The day’s budget of the API key that ordered this is spent.'
  refused(context, message)
  await context.hooks.beforeParking(body.lastToolUses)
  context.hooks.onRefused({ why: 'key_budget', message })
  await refuseModel(response, { status: 403, type: 'billing_error', message })
}

export async function refuseQuota(
  context: RouteContext,
  o: Refusable & { readonly until: number; readonly isDate: boolean },
): Promise<void> {
  const { response, body, until, isDate } = o
  const message = `The model’s provider has no quota left until ${new Date(until).toISOString()}.`
  refused(context, message)
  await context.hooks.beforeParking(body.lastToolUses)
  context.hooks.onQuota(until, isDate)
  const seconds = Math.max(1, Math.ceil((until - context.clock.now()) / 1000))
  await refuseOverloaded(response, { message, seconds })
}

export async function refuseHeldBack(
  context: RouteContext,
  response: ServerResponse,
  message: string,
): Promise<void> {
  refused(context, message)
  const headers = { 'retry-after': '1' }
  await refuseModel(response, { status: 503, type: 'api_error', message, headers })
}

/** The client asks again by itself. */
export async function refuseNoRoom(
  context: RouteContext,
  response: ServerResponse,
  message: string,
): Promise<void> {
  refused(context, message)
  await refuseOverloaded(response, { message, seconds: 1 })
}

export async function refuseBusy(context: RouteContext, response: ServerResponse): Promise<void> {
  const message = 'Close to the budget requests go one at a time, and too many wait.'
  refused(context, message)
  await refuseOverloaded(response, { message, seconds: 5 })
}

/** As the API says "not now": the client asks again by itself after so many seconds. */
async function refuseOverloaded(
  response: ServerResponse,
  { message, seconds }: { readonly message: string; readonly seconds: number },
): Promise<void> {
  await refuseModel(response, {
    status: 529,
    type: 'overloaded_error',
    message,
    headers: { 'retry-after': String(seconds) },
  })
}

export async function refuseInvalid(response: ServerResponse, message: string): Promise<void> {
  await refuseModel(response, { status: 400, type: 'invalid_request_error', message })
}

export async function refuseUnreachable(response: ServerResponse, message: string): Promise<void> {
  await refuseModel(response, { status: 502, type: 'api_error', message })
}

/** The provider's own words go to the owner, freed of the credential in case they repeat it. */
export async function refuseRejected(
  context: RouteContext,
  o: { answer: IncomingMessage; response: ServerResponse; model: Model },
): Promise<void> {
  const said = await readBody(o.answer, refusalBytesMax).catch(() => Buffer.alloc(0))
  o.answer.destroy()
  let words = said.toString('utf8')
  for (const value of Object.values(o.model.headers))
    for (const secret of [value, value.replace(/^\S+ /, '')])
      words = words.replaceAll(secret, '[redacted]')
  const message = `The model refused the server's credential (${o.answer.statusCode}).`
  context.hooks.onRefused({
    why: 'model_rejected',
    message: `${message} It said: ${words.slice(0, 500)}`,
  })
  await refuseModel(o.response, { status: 403, type: 'permission_error', message })
}

export function hostOf(url: URL): HostPort {
  return { host: url.hostname, port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)) }
}
