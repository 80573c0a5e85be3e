import { setTimeout as sleep } from 'node:timers/promises'
import { testKey } from '../support/server-api.ts'
import type { Node } from './node.ts'
import type { Random } from './random.ts'

const tryMs = 10_000
const pauseMs = 250
const triesMax = 2000

/** Clients that do not give up: each request goes to a node that is there, until one answers. */
export class Callers {
  readonly #nodes: readonly Node[]
  readonly #random: Random

  constructor(nodes: readonly Node[], random: Random) {
    this.#nodes = nodes
    this.#random = random
  }

  get<T>(path: string): Promise<T> {
    return this.#ask(path, { method: 'GET' })
  }

  /** Again and again means once, because of the key, or because the route says so. */
  post<T>(path: string, body: object, idempotencyKey?: string): Promise<T> {
    return this.#ask(path, {
      method: 'POST',
      body: JSON.stringify(body),
      ...(idempotencyKey && { headers: { 'idempotency-key': idempotencyKey } }),
    })
  }

  async #ask<T>(path: string, init: RequestInit): Promise<T> {
    let said = 'nobody was there'
    for (let tries = 0; tries < triesMax; tries += 1) {
      const answer = await this.#once(path, init).catch((error: unknown) => {
        if (error instanceof Refused) throw error
        return String(error)
      })
      if (typeof answer !== 'string') return answer.body as T
      said = answer
      await sleep(pauseMs)
    }
    throw new Error(`${init.method} ${path}: no answer after ${triesMax} tries: ${said}`)
  }

  /** A sentence: it is to be tried again. */
  async #once(path: string, init: RequestInit): Promise<{ readonly body: unknown } | string> {
    const there = this.#nodes.flatMap(({ server }) => server ?? [])
    if (there.length === 0) return 'nobody was there'
    const answer = await fetch(`${this.#random.pick(there).url}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${testKey}`,
        'content-type': 'application/json',
        ...init.headers,
      },
      signal: AbortSignal.timeout(tryMs),
    })
    const text = await answer.text()
    // A conflict is an answer: it was decided, or it has ended, meanwhile.
    if (answer.ok || answer.status === 409) return { body: JSON.parse(text) }
    if (answer.status >= 500 || answer.status === 429) return `${answer.status} ${text}`
    throw new Refused(`${init.method} ${path}: ${answer.status} ${text}`)
  }
}

/** The suite itself asked for something wrong. */
class Refused extends Error {}
