import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HostPort } from '../config.ts'
import { admit } from './admit.ts'
import { BodyTooLarge, readBody } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import { countRequest, countUsage } from './count-model.ts'
import { pickHeaders } from './headers.ts'
import { requireHeld } from './held.ts'
import { withLimit } from './limits.ts'
import { type ModelBody, parseModelBody } from './model-body.ts'
import type { GatewayPolicy } from './policy.ts'
import { isLimited, resetOf } from './quota.ts'
import { refuseModel } from './refuse.ts'
import { Silence } from './silence.ts'
import { clientSignal, openRequest, relay } from './upstream.ts'
import { type Reading, UsageReader } from './usage.ts'

/** As large as the Messages API takes. */
const bodyBytesMax = 32 * 1024 * 1024
/** A non-streaming answer sends nothing until it is complete; the API's own limit is ten minutes. */
const idleMs = 11 * 60_000
/** The owner has this long to store what precedes a request. */
const hookMs = 60_000
/** Of an upstream refusal, as much as is read for its message. */
const refusalBytesMax = 64 * 1024

const requestHeaders = [
  'accept',
  'anthropic-beta',
  'anthropic-version',
  'content-type',
  'user-agent',
]
const responseHeaders = [
  'cache-control',
  'content-encoding',
  'content-type',
  'request-id',
  'retry-after',
  'retry-after-ms',
  'x-should-retry',
]

type Model = NonNullable<GatewayPolicy['model']>
interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly model: Model
  /** `/v1/messages` or `/v1/messages/count_tokens`, with the query the client gave. */
  readonly path: string
}

/**
 * The `/anthropic` route: checks the body, keeps the budget, adds the key, streams the answer and
 * meters it. Refuses in the shape of the Messages API; a refusal that must not be retried is 403,
 * because the agent's client tries again after 401.
 */
export async function routeModel(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const path = endpointOf(o.request)
  if (path === null)
    return deny(context, o.response, 'Only POST /v1/messages and /v1/messages/count_tokens exist.')
  const { model } = context.policy
  if (model === null) return deny(context, o.response, 'No model is configured for this session.')
  const exchange = { ...o, model, path }
  const body = await readModelBody(context, exchange)
  if (body === null) return
  if (context.meter.breached) return refuseBudget(context, o.response)
  if (path.startsWith('/v1/messages/count_tokens')) {
    const signal = clientSignal(o.response, context.signal)
    await forward(context, { ...exchange, body, signal, settle: () => {} })
  } else await sendMetered(context, { ...exchange, body })
}

function endpointOf(request: IncomingMessage): string | null {
  const match = /^\/anthropic(\/v1\/messages(?:\/count_tokens)?(?:\?beta=true)?)$/.exec(
    request.url ?? '',
  )
  return request.method === 'POST' ? (match?.[1] ?? null) : null
}

async function readModelBody(context: RouteContext, o: Exchange): Promise<ModelBody | null> {
  if ((o.request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    const why = 'The request body must not be compressed.'
    refused(context, why)
    await refuseInvalid(o.response, why)
    return null
  }
  try {
    const parsed = parseModelBody(await readBody(o.request, bodyBytesMax), {
      ...o.model,
      prices: context.prices,
    })
    if ('body' in parsed) return parsed.body
    context.record.denied({ ...hostOf(o.model.baseUrl), route: 'anthropic', why: parsed.why })
    await refuseInvalid(o.response, parsed.why)
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error
    refused(context, error.message)
    await refuseModel(o.response, {
      status: 413,
      type: 'request_too_large',
      message: error.message,
    })
  }
  return null
}

type Checked = Exchange & { readonly body: ModelBody }
/** Called once a request, with what it cost; null: nothing was answered that costs anything. */
type Settle = (reading: Reading | null) => void

async function sendMetered(context: RouteContext, o: Checked): Promise<void> {
  const signal = clientSignal(o.response, context.signal)
  try {
    await withLimit({ clock: context.clock, ms: hookMs, signal, what: 'the hook' }, () =>
      context.hooks.beforeModelRequest(o.body.value),
    )
  } catch (error) {
    context.log.warn({ err: error }, 'a model request was held back')
    return refuseHeldBack(context, o.response, 'The previous turn is not stored yet; try again.')
  }
  const passage = context.breaker.ask()
  if (passage.kind === 'closed') return refuseQuota(context, o.response, passage.until)
  const admission = await admit(context, o.body.worstUsd, signal).catch((error: unknown) => {
    context.breaker.missed()
    throw error
  })
  if (admission.kind !== 'admitted') {
    context.breaker.missed()
    if (admission.kind === 'spent') return refuseBudget(context, o.response)
    if (admission.kind === 'key_spent') return refuseKeyBudget(context, o.response)
    return refuseBusy(context, o.response)
  }
  await forward(context, {
    ...o,
    signal,
    settle: (reading) => {
      admission.settle(reading?.costUsd ?? 0)
      if (reading === null) return
      countUsage(context, reading)
      context.record.adds(sumsOf(reading))
      context.hooks.onUsage(reading)
    },
  })
}

async function forward(
  context: RouteContext,
  o: Checked & { signal: AbortSignal; settle: Settle },
): Promise<void> {
  const { requested } = o.body
  const { prices } = context
  const gone = await requireHeld(context, o.signal).catch((error: Error) => error)
  if (gone !== undefined) {
    context.breaker.missed()
    o.settle(null)
    return refuseHeldBack(context, o.response, gone.message)
  }
  const details = { model: requested.model, path: o.path }
  context.record.allowed({ ...hostOf(o.model.baseUrl), route: 'anthropic', details })
  using silence = new Silence(context.clock)
  if (streams(o.body)) silence.asked()
  const signal = AbortSignal.any([o.signal, silence.signal])
  const answer = await ask(context, { ...o, signal, silence })
  countRequest(context, { model: requested.model, answer })
  if (answer === 'failed' || answer === 'cut') context.breaker.missed()
  if (answer === 'failed') return o.settle(null)
  if (answer === 'cut')
    return o.settle(new UsageReader({ contentType: undefined, requested, prices }).end(false))
  const status = answer.statusCode ?? 502
  heed(context, { status, answer })
  if (status >= 200 && status < 300) return stream(context, { ...o, answer, silence })
  o.settle(null)
  if (status === 401 || status === 403) return refuseRejected(context, { ...o, answer })
  if (status >= 400) return passOn(context, { answer, response: o.response })
  answer.destroy()
  await refuseUnreachable(o.response, `The model answered ${status}, which is not followed.`)
}

/** What the provider says of its quota is for every session of this process, and for this one's task. */
function heed(
  { breaker, hooks, clock }: RouteContext,
  { status, answer }: { readonly status: number; readonly answer: IncomingMessage },
): void {
  if (isLimited(status)) {
    const reset = resetOf(answer.headers, clock.now())
    breaker.limited(reset)
    if (reset !== null) hooks.onQuota(reset)
  } else breaker.answered()
}

/** The answer; `cut` if the client went away before it began; `failed` if the model is not there. */
async function ask(
  context: RouteContext,
  o: Checked & { signal: AbortSignal; silence: Silence },
): Promise<IncomingMessage | 'cut' | 'failed'> {
  const sent = openRequest({
    url: upstreamUrl(o.model.baseUrl, o.path),
    method: 'POST',
    headers: {
      ...pickHeaders(o.request.headers, requestHeaders),
      ...o.model.headers,
      'accept-encoding': 'identity',
      'content-length': o.body.bytes.length,
    },
    address: null,
    idleMs,
    clock: context.clock,
    signal: o.signal,
  })
  sent.request.end(o.body.bytes)
  try {
    return await sent.response
  } catch (error) {
    const { message } = o.silence
    if (message !== null) {
      giveUp(context, message)
      await refuseModel(o.response, { status: 504, type: 'api_error', message })
      return 'failed'
    }
    if (o.signal.aborted) return 'cut'
    context.log.warn({ err: error }, 'the model cannot be reached')
    await refuseUnreachable(o.response, 'The model cannot be reached.')
    return 'failed'
  }
}

/**
 * Settles before the client can know that its answer is complete: its next request finds the
 * money counted.
 */
async function stream(
  context: RouteContext,
  o: Checked & { answer: IncomingMessage; settle: Settle; silence: Silence },
): Promise<void> {
  const reader = new UsageReader({
    contentType: o.answer.headers['content-type'],
    requested: o.body.requested,
    prices: context.prices,
  })
  const { silence } = o
  if (streams(o.body)) silence.heard()
  let settled = false
  const settle = (complete: boolean): void => {
    if (!settled) o.settle(reader.end(complete))
    settled = true
  }
  await passOn(context, {
    ...o,
    onChunk: (chunk) => {
      if (streams(o.body)) silence.heard()
      reader.feed(chunk)
      if (reader.stopped) settle(true)
    },
    onEnd: () => settle(true),
  })
  settle(false)
  if (silence.message !== null) giveUp(context, silence.message)
}

/** The client sees a connection that breaks, or 504, and asks again. */
function giveUp(context: RouteContext, message: string): void {
  context.log.warn({ alert: 'model_silent' }, message)
  context.hooks.onSilence(message)
}

function streams({ value }: ModelBody): boolean {
  return typeof value === 'object' && value !== null && Reflect.get(value, 'stream') === true
}

async function passOn(
  context: RouteContext,
  o: {
    answer: IncomingMessage
    response: ServerResponse
    onChunk?: (chunk: Buffer) => void
    onEnd?: () => void
  },
): Promise<void> {
  const names = [...responseHeaders, ...rateLimitsOf(o.answer)]
  const { answer: from, response: to, ...watch } = o
  try {
    await relay({ from, to, headers: pickHeaders(from.headers, names), ...watch })
  } catch (error) {
    context.log.info({ err: error }, 'an answer of the model was cut off')
  }
}

function rateLimitsOf(answer: IncomingMessage): string[] {
  return Object.keys(answer.headers).filter((name) => name.startsWith('anthropic-ratelimit-'))
}

/** The provider's own words go to the owner, freed of the credential in case they repeat it. */
async function refuseRejected(
  context: RouteContext,
  o: { answer: IncomingMessage; response: ServerResponse; model: Model },
): Promise<void> {
  const said = await readBody(o.answer, refusalBytesMax).catch(() => Buffer.alloc(0))
  o.answer.destroy()
  let words = said.toString('utf8').slice(0, 500)
  for (const value of Object.values(o.model.headers))
    for (const secret of [value, value.replace(/^\S+ /, '')])
      words = words.replaceAll(secret, '[redacted]')
  const message = `The model refused the server's credential (${o.answer.statusCode}).`
  context.hooks.onRefused({ why: 'model_rejected', message: `${message} It said: ${words}` })
  await refuseModel(o.response, { status: 403, type: 'permission_error', message })
}

async function deny(context: RouteContext, response: ServerResponse, why: string): Promise<void> {
  const target = targetOf(context.policy)
  context.record.denied({ ...target, route: 'anthropic', why }, { asked: askedOf(response.req) })
  await refuseModel(response, { status: 403, type: 'permission_error', message: why })
}

function refused(context: RouteContext, why: string): void {
  context.record.refused({ ...targetOf(context.policy), route: 'anthropic', why })
}

function targetOf({ model }: GatewayPolicy): HostPort {
  return model === null ? { host: 'model', port: 443 } : hostOf(model.baseUrl)
}

/** What an entry adds up of an answer. */
function sumsOf({ usage, costUsd }: Reading): Readonly<Record<string, number>> {
  return { ...usage, cost_usd: costUsd }
}

async function refuseBudget(context: RouteContext, response: ServerResponse): Promise<void> {
  const message = `The budget of this session is spent (${context.meter.spentUsd.toFixed(4)} USD).`
  refused(context, message)
  context.hooks.onRefused({ why: 'budget', message })
  await refuseModel(response, { status: 403, type: 'billing_error', message })
}

async function refuseKeyBudget(context: RouteContext, response: ServerResponse): Promise<void> {
  const message = 'The day’s budget of the API key that ordered this is spent.'
  refused(context, message)
  context.hooks.onRefused({ why: 'key_budget', message })
  await refuseModel(response, { status: 403, type: 'billing_error', message })
}

async function refuseQuota(
  context: RouteContext,
  response: ServerResponse,
  until: number,
): Promise<void> {
  const message = `The model’s provider has no quota left until ${new Date(until).toISOString()}.`
  refused(context, message)
  context.hooks.onQuota(until)
  const seconds = Math.max(1, Math.ceil((until - context.clock.now()) / 1000))
  await refuseModel(response, {
    status: 529,
    type: 'overloaded_error',
    message,
    headers: { 'retry-after': String(seconds) },
  })
}

async function refuseHeldBack(
  context: RouteContext,
  response: ServerResponse,
  message: string,
): Promise<void> {
  refused(context, message)
  const headers = { 'retry-after': '1' }
  await refuseModel(response, { status: 503, type: 'api_error', message, headers })
}

async function refuseBusy(context: RouteContext, response: ServerResponse): Promise<void> {
  const message = 'Close to the budget requests go one at a time, and too many wait.'
  refused(context, message)
  await refuseModel(response, {
    status: 529,
    type: 'overloaded_error',
    message,
    headers: { 'retry-after': '5' },
  })
}

async function refuseInvalid(response: ServerResponse, message: string): Promise<void> {
  await refuseModel(response, { status: 400, type: 'invalid_request_error', message })
}

async function refuseUnreachable(response: ServerResponse, message: string): Promise<void> {
  await refuseModel(response, { status: 502, type: 'api_error', message })
}

/** The base URL may have a path of its own, which stays in front. */
function upstreamUrl(base: URL, path: string): URL {
  return new URL(`${base.pathname.replace(/\/+$/, '')}${path}`, base)
}

function hostOf(url: URL): HostPort {
  return { host: url.hostname, port: Number(url.port || (url.protocol === 'https:' ? 443 : 80)) }
}
