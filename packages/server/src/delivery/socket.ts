import { fieldErrors, type SocketMessage, socketMessage } from '@longhaul/client/contract'
import type { RawData, WebSocket } from 'ws'
import type { Timer } from '../clock.ts'
import { isKeyInUse } from '../store/keys.ts'
import { scrubberOf } from '../store/scrubbing-dialect.ts'
import { Outbox } from './outbox.ts'
import { endOf, type Refusal, refusalOf, type SocketEnd } from './refusals.ts'
import { Subscriptions, type SubscriptionsOptions } from './subscriptions.ts'

export interface SocketOptions extends Omit<SubscriptionsOptions, 'send' | 'refuse'> {
  /** Aborts when the server drains. */
  readonly signal: AbortSignal
  /** The key that opened the socket: without it the socket ends. */
  readonly keyId: string
  /** Of the request that opened it; every refusal carries it. */
  readonly requestId: string
}

/** Bytes of one message of a client. */
const messageBytesMax = 4096
/** Messages of a client that wait for their turn; who sends faster than it reads is cut off. */
const messagesMax = 100
/** Milliseconds that a peer has for its part of the closing, before it is cut off. */
const closeMsMax = 3000
/** Milliseconds between two looks at the peer, which has to answer each, and at its key. */
const beatMs = 15_000

/**
 * One WebSocket, from its opening to its close. Messages are handled in their order; whatever is
 * refused is answered in the error envelope, and so is the reason why the server closes the socket.
 */
export class Socket {
  readonly #ws: WebSocket
  readonly #o: SocketOptions
  readonly #outbox: Outbox
  readonly #subscriptions: Subscriptions
  #handled: Promise<void> = Promise.resolve()
  #waiting = 0
  /** Of the peer, since the last beat. */
  #heard = true
  #timer: Timer

  constructor(ws: WebSocket, o: SocketOptions) {
    this.#ws = ws
    this.#o = o
    this.#outbox = new Outbox(ws, { clock: o.clock, onStalled: () => this.#end('stalled') })
    this.#subscriptions = new Subscriptions({
      ...o,
      send: (message) => this.#outbox.send(message),
      refuse: (why, sessionId) => this.#refuse(why, { sessionId }),
    })
    const drain = (): void => this.#end('draining')
    o.signal.addEventListener('abort', drain, { once: true })
    this.#timer = o.clock.after(beatMs, () => void this.#beat())
    ws.on('message', (data, isBinary) => this.#take(data, isBinary))
    ws.on('pong', () => {
      this.#heard = true
    })
    ws.on('error', (error) => o.log.debug({ err: error }, 'a WebSocket broke'))
    ws.once('close', () => {
      o.signal.removeEventListener('abort', drain)
      this.#timer.cancel()
      this.#subscriptions.close()
      this.#outbox[Symbol.dispose]()
    })
  }

  #take(data: RawData, isBinary: boolean): void {
    this.#heard = true
    if (this.#waiting >= messagesMax) {
      this.#end('too_many_messages')
      return
    }
    this.#waiting += 1
    this.#handled = this.#handled
      .then(() => this.#handle(data, isBinary))
      .catch((error: unknown) => {
        this.#o.log.error({ err: error, request_id: this.#o.requestId }, 'a message failed')
        return this.#refuse('failed')
      })
      .finally(() => {
        this.#waiting -= 1
      })
  }

  async #handle(data: RawData, isBinary: boolean): Promise<void> {
    const text = data.toString()
    if (Buffer.byteLength(text) > messageBytesMax) return this.#end('message_too_large')
    if (isBinary) return this.#refuse('binary_message')
    const given = parse(text)
    if (given === undefined) return this.#refuse('malformed_json')
    const message = socketMessage.safeParse(given)
    if (message.success) return this.#obey(message.data)
    const scrub = (text: string): string => scrubberOf(this.#o.store.db)?.text(text) ?? text
    return this.#refuse('invalid_input', { fields: fieldErrors(message.error, given, scrub) })
  }

  #obey(message: SocketMessage): Promise<void> {
    switch (message.type) {
      case 'ping':
        return this.#outbox.send({ type: 'pong' })
      case 'subscribe':
        return this.#subscriptions.add(message)
      case 'unsubscribe':
        return this.#subscriptions.end(message.session_id)
    }
  }

  /** Looks whether the peer is there, unless it is known to be slow, and whether its key still is. */
  async #beat(): Promise<void> {
    const { store, clock, log, keyId } = this.#o
    if (!this.#heard && !this.#outbox.isFull) return this.#ws.terminate()
    this.#heard = false
    this.#ws.ping()
    const isKnown = await isKeyInUse(store.db, keyId).catch((error: unknown) => {
      // The database is away, and with it the events; the next beat asks again.
      log.debug({ err: error }, 'a key could not be looked up')
      return true
    })
    if (this.#ws.readyState !== this.#ws.OPEN) return
    if (!isKnown) return this.#end('key_revoked')
    this.#timer = clock.after(beatMs, () => void this.#beat())
  }

  #refuse(why: Refusal, about: Omit<Parameters<typeof refusalOf>[1], 'requestId'> = {}) {
    return this.#outbox.send(refusalOf(why, { ...about, requestId: this.#o.requestId }))
  }

  /** Closes the socket, saying why; the peer has `closeMsMax` to answer that. */
  #end(why: SocketEnd): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return
    const { code, answer } = endOf(why, this.#o)
    void this.#outbox.send(answer)
    this.#ws.close(code, why)
    this.#subscriptions.close()
    // Whoever waits for room waits no more.
    this.#outbox[Symbol.dispose]()
    this.#timer.cancel()
    this.#timer = this.#o.clock.after(closeMsMax, () => this.#ws.terminate())
  }
}

/** `undefined`, which no JSON text is: it is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The client is told in one sentence; what the parser says helps nobody more.
    return undefined
  }
}
