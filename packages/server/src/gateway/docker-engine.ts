import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../clock.ts'
import { readBody } from './body.ts'
import { withLimit } from './limits.ts'
import { openRequest } from './upstream.ts'

/** Where an engine listens: a socket of this machine, or an address of the operator's own. */
export type DockerEngine = { readonly socketPath: string } | { readonly url: URL }

/** The engine said no; the message is a sentence with its own words. */
export class EngineRefused extends Error {
  readonly status: number
  constructor(status: number, words: string) {
    super(`The Docker engine answered ${status}: ${words.trim().slice(0, 1000)}.`)
    this.status = status
  }
}

/** Docker Engine 25 (2024) and newer; 29 takes nothing older. https://docs.docker.com/reference/api/engine/version/v1.44/ */
const apiVersion = 'v1.44'
const answerBytesMax = 4 * 1024 * 1024
/** One request that waits for nothing. */
const requestMs = 60_000

/** One request of the engine's API. */
export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Behind the version, with its first slash. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** JSON, or a tar. */
  readonly body?: object | Readable
  readonly timeoutMs?: number
  readonly signal: AbortSignal
}

/** The few requests that the tool makes, over HTTP: no client library is as small as they are. */
export class EngineClient {
  readonly #engine: DockerEngine
  readonly #clock: Clock

  constructor(o: { readonly engine: DockerEngine; readonly clock: Clock }) {
    this.#engine = o.engine
    this.#clock = o.clock
  }

  /** Resolves with the parsed answer. Throws EngineRefused, or an Error when nothing answers. */
  async json(o: EngineRequest): Promise<unknown> {
    const body = await this.bytes(o)
    return body.length === 0 ? null : JSON.parse(body.toString('utf8'))
  }

  /** As `json`, but what was answered, as it is. */
  bytes(o: EngineRequest): Promise<Buffer> {
    return this.stream(o, (answer) => readBody(answer, answerBytesMax))
  }

  /** Hands the answer to `read`; it is over when that has settled. */
  async stream<T>(o: EngineRequest, read: (answer: IncomingMessage) => Promise<T>): Promise<T> {
    const { timeoutMs: ms = requestMs, signal } = o
    const limit = { clock: this.#clock, ms, signal, what: 'the Docker engine' }
    return withLimit(limit, (limited) => this.#send({ ...o, timeoutMs: ms, signal: limited }, read))
  }

  async #send<T>(
    o: EngineRequest & { readonly timeoutMs: number },
    read: (answer: IncomingMessage) => Promise<T>,
  ): Promise<T> {
    const { body } = o
    const isTar = isStream(body)
    const { request, response } = openRequest({
      url: this.#urlOf(o),
      method: o.method,
      headers: { 'content-type': isTar ? 'application/x-tar' : 'application/json' },
      address: null,
      ...('socketPath' in this.#engine ? { socketPath: this.#engine.socketPath } : {}),
      idleMs: o.timeoutMs,
      // Lines of a build, from the operator's own engine: as many as it likes.
      pieces: null,
      clock: this.#clock,
      signal: o.signal,
    })
    try {
      // A failed upload ends the request, and with it the answer, where it is reported.
      if (isTar) pipeline(body, request).catch(() => undefined)
      else request.end(body === undefined ? undefined : JSON.stringify(body))
      const answer = await response
      const status = answer.statusCode ?? 0
      if (status < 200 || status >= 300)
        throw new EngineRefused(status, wordsOf(await readBody(answer, answerBytesMax)))
      return await read(answer)
    } finally {
      request.destroy()
    }
  }

  #urlOf({ path, query }: EngineRequest): URL {
    const base = 'url' in this.#engine ? this.#engine.url : new URL('http://docker')
    const url = new URL(`/${apiVersion}${path}`, base)
    url.search = new URLSearchParams(query).toString()
    return url
  }
}

function isStream(body: object | undefined): body is Readable {
  return body !== undefined && 'pipe' in body
}

/** `{"message": …}`, or whatever a proxy in between said. */
function wordsOf(body: Buffer): string {
  const text = body.toString('utf8')
  try {
    const message: unknown = Reflect.get(Object(JSON.parse(text)), 'message')
    return typeof message === 'string' ? message : text
  } catch {
    return text
  }
}
