import { once } from 'node:events'
import { WebSocket } from 'ws'
import { until } from '../support/until.ts'

/** What a socket was sent: an event, a delta, or an answer. */
export interface Said {
  readonly type: string
  readonly [field: string]: unknown
}

/** A reader of `/v1/ws`, by hand, so that it can break off anywhere. */
export class SocketClient {
  readonly ws: WebSocket
  readonly said: Said[] = []
  /** How it was closed, once it is. */
  closed: { readonly code: number; readonly reason: string } | undefined
  readonly over: Promise<void>

  constructor(ws: WebSocket) {
    this.ws = ws
    const over = Promise.withResolvers<void>()
    this.over = over.promise
    ws.on('message', (data) => this.said.push(JSON.parse(data.toString())))
    ws.on('error', () => undefined) // A reader that breaks off is what the tests are about.
    ws.once('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      over.resolve()
    })
  }

  /** Rejects with the status of the answer when it is no WebSocket. */
  static async open(
    url: string,
    o: { readonly key: string; readonly autoPong?: boolean },
  ): Promise<SocketClient> {
    const ws = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, {
      headers: { authorization: `Bearer ${o.key}` },
      autoPong: o.autoPong ?? true,
    })
    const client = new SocketClient(ws)
    await once(ws, 'open')
    return client
  }

  tell(message: unknown): void {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  subscribe(sessionId: string, o: { after?: number; event_deltas?: string[] } = {}): void {
    this.tell({ type: 'subscribe', session_id: sessionId, ...o })
  }

  /** The numbers of a session's events, in the order in which they came. */
  seqs(sessionId: string): number[] {
    return this.said.flatMap(({ seq, session_id }) =>
      session_id === sessionId && typeof seq === 'number' ? [seq] : [],
    )
  }

  /** The first message that fits, once it was sent. */
  async message(fits: (said: Said) => boolean): Promise<Said> {
    let found: Said | undefined
    await until('a message', () => {
      found = this.said.find(fits)
      return found !== undefined
    })
    if (!found) throw new Error('unreachable: it was found')
    return found
  }
}
