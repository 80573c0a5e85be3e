import type { IncomingMessage, ServerResponse } from 'node:http'
import { admit } from './admit.ts'
import { type Checked, type Exchange, forward } from './anthropic-forward.ts'
import {
  deny,
  hostOf,
  refuseBudget,
  refuseBusy,
  refused,
  refuseHeldBack,
  refuseInvalid,
  refuseKeyBudget,
  refuseNoRoom,
  refuseQuota,
} from './anthropic-refusals.ts'
import type { HeldBody } from './bodies.ts'
import { BodyTooLarge, NoRoom } from './body.ts'
import type { RouteContext } from './context.ts'
import { countUsage } from './count-model.ts'
import { JsonCount, JsonTooLarge } from './json-count.ts'
import { withLimit } from './limits.ts'
import type { ModelBody } from './model-body.ts'
import { refuseModel } from './refuse.ts'
import { clientSignal } from './upstream.ts'
import type { Reading } from './usage.ts'

/** As large as the Messages API takes. */
const bodyBytesMax = 32 * 1024 * 1024
/** The owner has this long to store what precedes a request. */
const hookMs = 60_000

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
  // Before the body is read: nothing says later that its client went away by then.
  const signal = clientSignal(o.response, context.signal)
  const exchange = { ...o, model, path, signal }
  try {
    // Held to the end: what is sent is kept until it is answered.
    using held = context.bodies.holdForModel()
    await routeBody(context, { ...exchange, held })
  } catch (error) {
    if (!(error instanceof NoRoom)) throw error
    await refuseNoRoom(context, o.response, error.message)
  }
}

async function routeBody(
  context: RouteContext,
  o: Exchange & { readonly held: HeldBody },
): Promise<void> {
  const { held: _, ...exchange } = o
  const { path } = exchange
  const body = await readModelBody(context, o)
  if (body === null) return
  if (context.meter.breached) return refuseBudget(context, { ...o, body })
  const isCount = path.startsWith('/v1/messages/count_tokens')
  await (isCount ? sendCount : sendMetered)(context, { ...exchange, body })
}

/**
 * Counts of tokens keep away from a provider that says "not now", as all do; but since they have limits
 * of their own there, their answers say nothing of messages: they neither stop nor park anybody.
 */
async function sendCount(context: RouteContext, o: Checked): Promise<void> {
  const hooks = { ...context.hooks, onQuota: () => {}, beforeParking: async () => {} }
  const passage = context.breaker.look()
  if (passage.kind === 'closed') return refuseQuota({ ...context, hooks }, { ...o, ...passage })
  await forward({ ...context, hooks, breaker: deaf }, { ...o, settle: () => {} })
}

const deaf: RouteContext['breaker'] = {
  ask: () => ({ kind: 'open' }),
  look: () => ({ kind: 'open' }),
  limited: () => {},
  answered: () => {},
  missed: () => {},
}

function endpointOf(request: IncomingMessage): string | null {
  const match = /^\/anthropic(\/v1\/messages(?:\/count_tokens)?(?:\?beta=true)?)$/.exec(
    request.url ?? '',
  )
  return request.method === 'POST' ? (match?.[1] ?? null) : null
}

async function readModelBody(
  context: RouteContext,
  o: Exchange & { readonly held: HeldBody },
): Promise<ModelBody | null> {
  if ((o.request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    const why = 'The request body must not be compressed.'
    refused(context, why)
    await refuseInvalid(o.response, why)
    return null
  }
  try {
    const count = new JsonCount()
    const raw = await o.held.read(o.request, bodyBytesMax, (chunk) => count.feed(chunk))
    const rules = { ...o.model, prices: context.prices }
    const { signal } = o
    const parsed = await context.bodies.parse(raw, { values: count.values, rules, signal })
    if ('body' in parsed) return parsed.body
    context.record.denied({ ...hostOf(o.model.baseUrl), route: 'anthropic', why: parsed.why })
    await refuseInvalid(o.response, parsed.why)
  } catch (error) {
    if (!(error instanceof BodyTooLarge || error instanceof JsonTooLarge)) throw error
    refused(context, error.message)
    await refuseModel(o.response, {
      status: 413,
      type: 'request_too_large',
      message: error.message,
    })
  }
  return null
}

async function sendMetered(context: RouteContext, o: Checked): Promise<void> {
  const { signal } = o
  try {
    await withLimit({ clock: context.clock, ms: hookMs, signal, what: 'the hook' }, () =>
      context.hooks.beforeModelRequest(o.body.lastToolUses),
    )
  } catch (error) {
    context.log.warn({ err: error }, 'a model request was held back')
    return refuseHeldBack(context, o.response, 'The previous turn is not stored yet; try again.')
  }
  const closed = context.breaker.look()
  if (closed.kind === 'closed') return refuseQuota(context, { ...o, ...closed })
  const admission = await admit(context, o.body.worstUsd, signal)
  if (admission.kind !== 'admitted') {
    if (admission.kind === 'spent') return refuseBudget(context, o)
    if (admission.kind === 'key_spent') return refuseKeyBudget(context, o)
    return refuseBusy(context, o.response)
  }
  // Not before: whoever finds out for all would make all wait for its own turn at its budget.
  const passage = context.breaker.ask()
  if (passage.kind === 'closed') {
    admission.settle(0)
    return refuseQuota(context, { ...o, ...passage })
  }
  await forward(context, {
    ...o,
    settle: (reading) => {
      if (reading === null) return admission.settle(0)
      countUsage(context, reading)
      context.record.adds(sumsOf(reading))
      // Who waits for its turn at the budget waits until this is stored as well.
      void context.hooks.onUsage(reading).then(() => admission.settle(reading.costUsd))
    },
  })
}

/** What an entry adds up of an answer. */
function sumsOf({ usage, costUsd }: Reading): Readonly<Record<string, number>> {
  return { ...usage, cost_usd: costUsd }
}
