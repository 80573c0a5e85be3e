import type { Usage } from '@longhaul/client/contract'
import { createParser, type EventSourceParser } from 'eventsource-parser'
import { z } from 'zod'
import type { BilledUsage, PriceTable } from '../prices/price-table.ts'

/** What one answer of the model cost. */
export interface Reading {
  readonly model: string
  readonly usage: Usage
  readonly costUsd: number
}

/** A JSON answer is at most the model's longest output; beyond this it is not read for usage. */
const jsonBytesMax = 16 * 1024 * 1024
/** The largest event carries a whole tool input; a stream that breaks this counts its worst case. */
const eventCharsMax = 8 * 1024 * 1024

/**
 * Reads the usage off an answer that streams by, as server-sent events or as one JSON body, and
 * never throws. What cannot be read is estimated so that it never looks cheaper than it was: an
 * answer cut off midway counts the text that came, a complete one without usage its worst case.
 */
export class UsageReader {
  readonly #requested: Requested
  readonly #prices: PriceTable
  readonly #events: EventSourceParser | null
  readonly #decoder = new TextDecoder()
  #unreadable = false
  #json: Buffer[] = []
  #jsonBytes = 0
  #model: string | null = null
  #seen: Reported = {}
  #final = false
  #failed = false
  #stopped = false
  #deltaBytes = 0

  constructor(o: {
    readonly contentType: string | undefined
    readonly requested: Requested
    readonly prices: PriceTable
  }) {
    this.#requested = o.requested
    this.#prices = o.prices
    this.#events = /^text\/event-stream\b/i.test(o.contentType ?? '')
      ? createParser({
          onEvent: ({ data }) => this.#event(data),
          onError: ({ type }) => {
            this.#unreadable ||= type === 'max-buffer-size-exceeded'
          },
          maxBufferSize: eventCharsMax,
        })
      : null
  }

  feed(chunk: Buffer): void {
    if (this.#events === null) this.#collect(chunk)
    // The parser of a stream that went beyond the bound takes no more.
    else if (!this.#unreadable) this.#events.feed(this.#decoder.decode(chunk, { stream: true }))
  }

  /** True: the stream said that it is complete, and the client may act on it. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** What the answer cost; null if it was an error. `complete`: it ended by itself. */
  end(complete: boolean): Reading | null {
    if (this.#events === null) this.#body()
    if (this.#unreadable) return this.#reading([worstOf(this.#requested)])
    const seen = this.#model !== null
    if (!seen && this.#failed) return null
    if (!seen && complete) return this.#reading([worstOf(this.#requested)])
    if (!seen) return this.#reading([estimateOf(this.#requested, this.#deltaBytes)])
    const output = this.#final ? 0 : tokensOf(this.#deltaBytes)
    return this.#reading(this.#billed({ model: this.#name(), output }))
  }

  #event(data: string): void {
    const event = streamEvent.safeParse(parseJson(data)).data
    if (event === undefined) return
    switch (event.type) {
      case 'message_start':
        this.#model = event.message.model ?? this.#requested.model
        this.#see(event.message.usage)
        break
      case 'content_block_delta':
        this.#deltaBytes += textBytes(event.delta)
        break
      case 'message_delta':
        this.#see(event.usage)
        this.#final = true
        break
      case 'message_stop':
        this.#stopped = true
        break
      case 'error':
        this.#failed = true
        break
      default:
        event satisfies never
    }
  }

  #collect(chunk: Buffer): void {
    this.#jsonBytes += chunk.length
    if (this.#jsonBytes > jsonBytesMax) this.#json = []
    else this.#json.push(chunk)
  }

  #body(): void {
    const message = jsonMessage.safeParse(parseJson(Buffer.concat(this.#json).toString())).data
    if (message === undefined) return
    this.#model = message.model ?? this.#requested.model
    this.#see(message.usage)
    this.#final = true
  }

  /** Later reports are cumulative: what they give replaces what was given. */
  #see(reported: Reported): void {
    const given = Object.entries(reported).filter(([, value]) => value != null)
    this.#seen = { ...this.#seen, ...Object.fromEntries(given) }
  }

  /**
   * The samplings that are billed. With fallbacks or compaction the top-level figures leave some
   * out, so the iterations count where they are dearer.
   */
  #billed(o: { readonly model: string; readonly output: number }): readonly Part[] {
    const usOnly = this.#seen.inference_geo === 'us'
    const top = [{ model: o.model, usage: { ...usageOf(this.#seen, o.output), usOnly } }]
    const each = (this.#seen.iterations ?? []).map((entry) => ({
      model: entry.model ?? o.model,
      usage: { ...usageOf(entry, 0), usOnly },
    }))
    return this.#costOf(each) > this.#costOf(top) ? each : top
  }

  #costOf(parts: readonly Part[]): number {
    return parts.reduce((sum, part) => sum + this.#prices.costOf(part.model, part.usage), 0)
  }

  #name(): string {
    return this.#model ?? this.#requested.model
  }

  #reading(parts: readonly Part[]): Reading {
    const total = { ...noUsage }
    let costUsd = 0
    for (const { model, usage } of parts) {
      costUsd += this.#prices.costOf(model, usage)
      for (const name of usageNames) total[name] += usage[name]
    }
    return { model: this.#name(), usage: total, costUsd }
  }
}

/** What is known of a request before its answer: for estimates, and for the worst case. */
export interface Requested {
  readonly model: string
  /** The body's bytes by three, more tokens than text or code of that length has; pages count dearer. */
  readonly inputTokens: number
  /** True: inference may be bound to the United States, by the request or by the key's workspace. */
  readonly usOnly: boolean
  readonly outputTokensMax: number
}

/** Tokens in this many bytes of text, rounded towards dear. */
export function tokensOf(bytes: number): number {
  return Math.ceil(bytes / 3)
}

interface Part {
  readonly model: string
  readonly usage: BilledUsage
}

const usageNames = [
  'input_tokens',
  'output_tokens',
  'cache_read_input_tokens',
  'cache_creation_input_tokens',
] as const
const noUsage: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

const count = z.number().nonnegative().max(1e9).nullish()
const counts = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  cache_creation: z.object({ ephemeral_1h_input_tokens: count }).nullish(),
})
/** `iterations`: one entry a sampling, with the model it ran on, when there was more than one. */
const reportedUsage = counts.partial().extend({
  inference_geo: z.string().nullish(),
  iterations: z.array(counts.extend({ model: z.string().nullish() })).nullish(),
})
type Reported = z.infer<typeof reportedUsage>

const jsonMessage = z.object({ model: z.string().optional(), usage: reportedUsage })
const streamEvent = z.discriminatedUnion('type', [
  z.object({ type: z.literal('message_start'), message: jsonMessage }),
  z.object({ type: z.literal('content_block_delta'), delta: z.record(z.string(), z.unknown()) }),
  z.object({ type: z.literal('message_delta'), usage: reportedUsage }),
  z.object({ type: z.literal('message_stop') }),
  z.object({ type: z.literal('error') }),
])

function usageOf(reported: Reported, outputTokensMin: number): BilledUsage {
  return {
    input_tokens: reported.input_tokens ?? 0,
    output_tokens: Math.max(reported.output_tokens ?? 0, outputTokensMin),
    cache_read_input_tokens: reported.cache_read_input_tokens ?? 0,
    cache_creation_input_tokens: reported.cache_creation_input_tokens ?? 0,
    hourCacheTokens: reported.cache_creation?.ephemeral_1h_input_tokens ?? 0,
  }
}

function worstOf(requested: Requested): Part {
  const { model, inputTokens, outputTokensMax, usOnly } = requested
  return {
    model,
    usage: { ...noUsage, input_tokens: inputTokens, output_tokens: outputTokensMax, usOnly },
  }
}

function estimateOf(requested: Requested, deltaBytes: number): Part {
  return worstOf({ ...requested, outputTokensMax: tokensOf(deltaBytes) })
}

/** Text, thinking and tool input alike; a signature is no output that anybody pays for. */
function textBytes(delta: Readonly<Record<string, unknown>>): number {
  return ['text', 'thinking', 'partial_json']
    .map((name) => delta[name])
    .reduce<number>(
      (sum, text) => sum + (typeof text === 'string' ? Buffer.byteLength(text) : 0),
      0,
    )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON is not usage either; the estimate takes over.
    return undefined
  }
}
