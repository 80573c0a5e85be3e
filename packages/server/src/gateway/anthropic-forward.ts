import type { IncomingMessage, ServerResponse } from 'node:http'
import { mayBeLimit, passRefusal } from './anthropic-limits.ts'
import {
  hostOf,
  type Model,
  refuseHeldBack,
  refuseRejected,
  refuseUnreachable,
} from './anthropic-refusals.ts'
import type { RouteContext } from './context.ts'
import { countRequest } from './count-model.ts'
import { pickHeaders } from './headers.ts'
import { requireHeld } from './held.ts'
import type { ModelBody } from './model-body.ts'
import { refuseModel } from './refuse.ts'
import { Silence } from './silence.ts'
import { openRequest, relay, sendBody } from './upstream.ts'
import { type Reading, UsageReader } from './usage.ts'

/** A non-streaming answer sends nothing until it is complete; the API's own limit is ten minutes. */
const idleMs = 11 * 60_000

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

/** A request for the model, on its way. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly model: Model
  /** `/v1/messages` or `/v1/messages/count_tokens`, with the query the client gave. */
  readonly path: string
  /** Aborts when the client goes away, or the gateway closes. */
  readonly signal: AbortSignal
}

export type Checked = Exchange & { readonly body: ModelBody }
/** Called once a request, with what it cost; null: nothing was answered that costs anything. */
type Settle = (reading: Reading | null) => void

/**
 * Sends what was checked and admitted, with the key, if the session is still held; streams the answer
 * and meters it. Settles in any case.
 */
export async function forward(
  context: RouteContext,
  o: Checked & { settle: Settle },
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
  if (o.body.streams) silence.asked()
  const signal = AbortSignal.any([o.signal, silence.signal])
  const answer = await ask(context, { ...o, signal, silence })
  countRequest(context, { model: requested.model, answer })
  if (answer === 'failed' || answer === 'cut') context.breaker.missed()
  if (answer === 'failed') return o.settle(null)
  if (answer === 'cut')
    return o.settle(new UsageReader({ contentType: undefined, requested, prices }).end(false))
  const status = answer.statusCode ?? 502
  if (!mayBeLimit(status)) context.breaker.answered()
  if (status >= 200 && status < 300) return stream(context, { ...o, answer, silence })
  o.settle(null)
  if (mayBeLimit(status)) return passRefusal(context, { ...o, answer, names: namesOf(answer) })
  if (status === 401 || status === 403) return refuseRejected(context, { ...o, answer })
  if (status >= 400) return passOn(context, { answer, response: o.response })
  answer.destroy()
  await refuseUnreachable(o.response, `The model answered ${status}, which is not followed.`)
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
  sendBody(sent.request, o.body.bytes)
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
  if (o.body.streams) silence.heard()
  let settled = false
  const settle = (complete: boolean): void => {
    if (!settled) o.settle(reader.end(complete))
    settled = true
  }
  await passOn(context, {
    ...o,
    onChunk: (chunk) => {
      if (o.body.streams) silence.heard()
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

async function passOn(
  context: RouteContext,
  o: {
    answer: IncomingMessage
    response: ServerResponse
    onChunk?: (chunk: Buffer) => void
    onEnd?: () => void
  },
): Promise<void> {
  const { answer: from, response: to, ...watch } = o
  try {
    await relay({ from, to, headers: pickHeaders(from.headers, namesOf(from)), ...watch })
  } catch (error) {
    context.log.info({ err: error }, 'an answer of the model was cut off')
  }
}

/** Headers that go along with an answer. */
function namesOf({ headers }: IncomingMessage): string[] {
  const limits = Object.keys(headers).filter((name) => name.startsWith('anthropic-ratelimit-'))
  return [...responseHeaders, ...limits]
}

/** The base URL may have a path of its own, which stays in front. */
function upstreamUrl(base: URL, path: string): URL {
  return new URL(`${base.pathname.replace(/\/+$/, '')}${path}`, base)
}
