import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import { errorOf } from './answer.ts'
import type { Conversation } from './conversation.ts'
import { readConversation } from './conversation.ts'
import { deliver } from './deliver.ts'
import { listen, readBody, sendJson, stop } from './loopback.ts'
import { findViolations } from './request-check.ts'
import type { Scenario, Step } from './scenario.ts'
import { say } from './scenario.ts'
import type { DuplicateTurn, ModelRequest } from './turn-ledger.ts'
import { TurnLedger } from './turn-ledger.ts'
import { readRequest } from './wire.ts'

/** Settings of a scripted model. */
export interface ScriptedModelOptions {
  /** Asked in this order; the first that answers wins. */
  readonly scenarios: readonly Scenario[]
  /** The key that requests must carry, in `x-api-key` or as a bearer token. */
  readonly apiKey?: string
  /** 0: any free port of 127.0.0.1. */
  readonly port?: number
}

/**
 * A Messages API on loopback that answers from scenarios, counts and checks. The real claude CLI
 * takes it for the real one: `ANTHROPIC_BASE_URL=url`, `ANTHROPIC_API_KEY=apiKey`.
 */
export interface ScriptedModel extends AsyncDisposable {
  readonly url: string
  readonly apiKey: string
  /** The last 2 000 requests, oldest first. */
  readonly requests: readonly ModelRequest[]
  /** What the real API would have refused, as sentences; such requests were answered 400. */
  readonly violations: readonly string[]
  /** Turns asked again although their answer had been delivered, in the order they were noticed. */
  readonly duplicates: readonly DuplicateTurn[]
  /** How many those are. */
  duplicateTurns(): number
  /** The first request, past or to come, that `match` accepts; rejects after `timeoutMs` (30 s). */
  waitFor(match: (request: ModelRequest) => boolean, timeoutMs?: number): Promise<ModelRequest>
  /** Stops listening and breaks every connection. */
  close(): Promise<void>
}

const bodyBytesMax = 64 * 1024 * 1024
const violationsMax = 1_000
const waitMs = 30_000

/** Starts a scripted model. */
export async function startScriptedModel(options: ScriptedModelOptions): Promise<ScriptedModel> {
  const apiKey = options.apiKey ?? 'scripted-model-key'
  const ledger = new TurnLedger()
  const violations: string[] = []
  const model = { scenarios: options.scenarios, apiKey, ledger, violations }
  const server = createServer((request, response) => {
    answer(model, request, response).catch((error) => response.destroy(error))
  })
  const url = await listen(server, options.port)
  const close = (): Promise<void> => stop(server)
  return {
    url,
    apiKey,
    requests: ledger.requests,
    violations,
    duplicates: ledger.duplicates,
    duplicateTurns: () => ledger.duplicates.length,
    waitFor: (match, timeoutMs = waitMs) => ledger.waitFor(match, timeoutMs),
    close,
    [Symbol.asyncDispose]: close,
  }
}

interface Model {
  readonly scenarios: readonly Scenario[]
  readonly apiKey: string
  readonly ledger: TurnLedger
  readonly violations: string[]
}

async function answer(
  model: Model,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url?.split('?')[0]
  // The CLI looks whether anybody is there before its first request.
  if (path === '/api/hello') return sendJson(response, 200, { message: 'hello' })
  const body = await readBody(request, bodyBytesMax)
  if (body === null) return sendJson(response, 413, errorOf(413, 'the body is over 64 MiB'))
  if (!isAllowed(request, model.apiKey)) {
    return sendJson(response, 401, errorOf(401, 'invalid x-api-key'))
  }
  if (request.method !== 'POST' || !path?.startsWith('/v1/messages')) {
    return sendJson(response, 404, errorOf(404, `no such route: ${request.method} ${path}`))
  }
  const json = parseJson(body)
  if (json === undefined) return sendJson(response, 400, errorOf(400, 'the body is not JSON'))
  if (path === '/v1/messages/count_tokens') {
    return sendJson(response, 200, { input_tokens: Math.ceil(body.length / 4) })
  }
  await answerMessages(model, { json, body, request, response })
}

async function answerMessages(
  model: Model,
  o: { json: unknown; body: string; request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const parsed = readRequest(o.json)
  const conversation = readConversation(parsed, o.request.headers)
  const isSide = isSideRequest(conversation)
  const { ledger, violations } = model
  const record = ledger.record(conversation, isSide ? 'side' : 'turn')
  const found = findViolations(parsed)
  if (found.length > 0) return refuse(found)
  try {
    const step = isSide ? sideStep : (firstAnswer(model.scenarios, conversation) ?? strangerStep)
    const { response } = o
    const { stream } = parsed
    const promptChars = o.body.length
    await deliver({ step, conversation, record, ledger, response, stream, promptChars })
  } catch (error) {
    // A mistake in a scenario: a status that no client tries again, so that it is seen at once.
    refuse([`scenario: ${String(error)}`])
  }

  function refuse(sentences: readonly string[]): void {
    violations.push(...sentences.slice(0, violationsMax - violations.length))
    ledger.settle(record, 'failed')
    if (o.response.headersSent) o.response.destroy()
    else sendJson(o.response, 400, errorOf(400, sentences.join('; ')))
  }
}

/** Titles are asked for in this JSON; read as prose it does no harm either. */
const sideStep = say('{"title":"A task"}')
const strangerStep = say('No scenario knows this conversation.')
const summaryOrder = /^(CRITICAL: Respond with TEXT ONLY|Your task is to create a detailed summary)/

/** The CLI's own calls, which are no turns: without tools, or for a summary of the conversation. */
function isSideRequest(conversation: Conversation): boolean {
  return conversation.tools.length === 0 || summaryOrder.test(conversation.lastUserText)
}

function firstAnswer(scenarios: readonly Scenario[], conversation: Conversation): Step | undefined {
  for (const scenario of scenarios) {
    const step = scenario(conversation)
    if (step !== undefined) return step
  }
  return undefined
}

function isAllowed(request: IncomingMessage, apiKey: string): boolean {
  const { authorization, 'x-api-key': key } = request.headers
  return key === apiKey || authorization === `Bearer ${apiKey}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The caller answers 400; the text itself says what is wrong with it.
    return undefined
  }
}
