import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from './answer.ts'
import { answerOf, errorFrame, errorOf, framesOf, messageOf, pingFrame, startOf } from './answer.ts'
import type { Conversation } from './conversation.ts'
import { sendJson } from './loopback.ts'
import type { Fault, Step } from './scenario.ts'
import type { ModelRequest, TurnLedger } from './turn-ledger.ts'

/** One answer on its way. */
interface Delivery {
  readonly step: Step
  readonly conversation: Conversation
  readonly record: ModelRequest
  readonly ledger: TurnLedger
  readonly response: ServerResponse
  readonly stream: boolean
  readonly promptChars: number
}

const pingMs = 5_000

/**
 * Gives one answer in the manner of its step, and tells the ledger how it ended. Resolves when the
 * answer is written or the client is gone.
 */
export async function deliver(delivery: Delivery): Promise<void> {
  const { step, conversation, ledger, record, response } = delivery
  const fault = faultNow(step, record)
  if (fault?.kind === 'status') {
    const headers = fault.retryAfterS === undefined ? {} : { 'retry-after': `${fault.retryAfterS}` }
    ledger.settle(record, 'failed')
    const { status, message = 'as scripted' } = fault
    return sendJson(response, status, errorOf(status, message), headers)
  }
  const { promptChars } = delivery
  const answer = answerOf({ step, model: conversation.model, promptChars })
  const gone = closeOf(response)
  const end = fault?.kind === 'hang' && fault.where === 'headers' ? await gone : await give()
  ledger.settle(record, end === 'gone' ? 'aborted' : end, answer.content)

  async function give(): Promise<'gone' | 'answered' | 'broken'> {
    if (delivery.stream) openStream(response, answer)
    if ((await pause(delivery, gone)) === 'gone') return 'gone'
    const frames = delivery.stream ? framesOf(answer) : [JSON.stringify(messageOf(answer))]
    if (!delivery.stream) response.writeHead(200, { 'content-type': 'application/json' })
    if (fault === undefined) return finish(response, frames.join(''), gone)
    return breakOff({ response, text: beginning(frames), fault, gone })
  }
}

/** The step's fault, as long as its turn was not asked for often enough. */
function faultNow(step: Step, record: ModelRequest): Fault | undefined {
  return record.triesBefore < (step.fault?.times ?? 1) ? step.fault : undefined
}

function openStream(response: ServerResponse, answer: Answer): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  response.write(startOf(answer))
  response.write(pingFrame)
}

/** Waits as the step says, sending pings; ends early when the client is gone. */
async function pause(delivery: Delivery, gone: Promise<'gone'>): Promise<'gone' | 'ready'> {
  const { step, conversation, response, stream } = delivery
  const ended = new AbortController()
  const pings = setInterval(() => stream && response.write(pingFrame), pingMs)
  try {
    const until = typeof step.until === 'function' ? step.until(conversation) : step.until
    const delay = sleep(step.delayMs ?? 0, undefined, { signal: ended.signal })
    return await Promise.race([gone, Promise.all([until, delay]).then(() => 'ready' as const)])
  } finally {
    clearInterval(pings)
    ended.abort()
  }
}

/** Resolves when the connection is closed, by whomever. */
function closeOf(response: ServerResponse): Promise<'gone'> {
  return new Promise((resolve) => {
    if (response.closed) resolve('gone')
    else response.once('close', () => resolve('gone'))
  })
}

async function finish(
  response: ServerResponse,
  text: string,
  gone: Promise<'gone'>,
): Promise<'gone' | 'answered'> {
  const finished = new Promise<'answered'>((resolve) => {
    response.once('finish', () => resolve('answered'))
  })
  response.end(text)
  return await Promise.race([finished, gone])
}

async function breakOff(o: {
  response: ServerResponse
  text: string
  fault: Fault
  gone: Promise<'gone'>
}): Promise<'gone' | 'broken'> {
  // Flushed first: destroying a connection drops what still waits in its buffer.
  await new Promise((written) => o.response.write(o.text, written))
  if (o.fault.kind === 'hang') return await o.gone
  if (o.fault.kind === 'error_event') o.response.end(errorFrame)
  else o.response.destroy()
  return 'broken'
}

/**
 * What is given before it breaks off: a stream ends within its first block. (The CLI runs a tool
 * call that came completely, even if the rest of the message never came.)
 */
function beginning(frames: readonly string[]): string {
  const [first = '', second] = frames
  return second === undefined ? first.slice(0, first.length / 2) : first + second
}
