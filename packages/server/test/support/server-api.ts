import assert from 'node:assert/strict'
import type { AuditEntry, Message, SessionEvent, Task, Workflow } from '@longhaul/client/contract'
import { until } from './until.ts'

/** The key that test servers are started with. */
export const testKey = 'test-key-0123456789'

/** Generous: a busy machine is slow, and a condition that holds ends the wait at once. */
const waitMsMax = 240_000

/** A running server as its callers see it: over HTTP, wherever it runs. */
export class ServerApi {
  readonly url: string
  readonly #key: string

  constructor(url: string, key = testKey) {
    this.url = url
    this.#key = key
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(init.body ? { 'content-type': 'application/json' } : {}),
        ...init.headers,
      },
    })
  }

  async #json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await this.request(path, init)
    const text = await response.text()
    assert.ok(response.ok, `${init?.method ?? 'GET'} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as T
  }

  get<T>(path: string): Promise<T> {
    return this.#json(path)
  }

  post<T>(path: string, body: object): Promise<T> {
    return this.#json(path, { method: 'POST', body: JSON.stringify(body) })
  }

  /** A POST whose answer may be a refusal. */
  send(path: string, body: object): Promise<Response> {
    return this.request(path, { method: 'POST', body: JSON.stringify(body) })
  }

  /** Orders a task; what it does not say is that it is a refactoring of medium priority. */
  order(order: object): Promise<Workflow> {
    const body = JSON.stringify({ type: 'refactor', priority: 'medium', ...order })
    return this.#json('/api/workflows', { method: 'POST', body })
  }

  workflow(id: string): Promise<Workflow> {
    return this.#json(`/api/workflows/${id}`)
  }

  task(id: string): Promise<Task> {
    return this.#json(`/v1/tasks/${id}`)
  }

  cancel(id: string): Promise<Task> {
    return this.#json(`/v1/tasks/${id}/cancel`, { method: 'POST' })
  }

  /** Says something to a task's agent. */
  say(id: string, message: { text: string; mode?: string }): Promise<Message> {
    return this.#json(`/v1/tasks/${id}/messages`, { method: 'POST', body: JSON.stringify(message) })
  }

  async artifact(id: string, name: string): Promise<string> {
    const response = await this.request(`/v1/tasks/${id}/artifacts/${name}`)
    assert.equal(response.status, 200)
    return response.text()
  }

  /** The whole log of a task's session. */
  async events(id: string): Promise<SessionEvent[]> {
    const { session_id } = await this.task(id)
    const all: SessionEvent[] = []
    for (let page: string | null = ''; page !== null; ) {
      const query: string = page === '' ? '' : `&page=${page}`
      const got: { data: SessionEvent[]; next_page: string | null } = await this.#json(
        `/v1/sessions/${session_id}/events?limit=1000${query}`,
      )
      all.push(...got.data)
      page = got.next_page
    }
    return all
  }

  /** What the gateway decided for a task, up to its first hundred entries. */
  async audit(id: string): Promise<AuditEntry['entry'][]> {
    const { session_id } = await this.task(id)
    const path = `/v1/audit?session_id=${session_id}&limit=100`
    const { data } = await this.#json<{ data: AuditEntry[] }>(path)
    return data.map(({ entry }) => entry)
  }

  /** Every row of the log of a task that ended, as its stream shows them: lists show the last of an id. */
  async rows(id: string): Promise<SessionEvent[]> {
    const { session_id } = await this.task(id)
    const response = await this.request(`/v1/sessions/${session_id}/events/stream?after=0`)
    assert.equal(response.status, 200)
    const frames = (await response.text()).split('\n').filter((line) => line.startsWith('data: '))
    return frames.map((line) => JSON.parse(line.slice('data: '.length)))
  }

  /** What the agent's tools answered, in their order. */
  async toolResults(id: string): Promise<string[]> {
    const results = (await this.events(id)).filter(({ type }) => type === 'agent.tool_result')
    return results.map((event) => {
      const blocks: unknown[] = Array.isArray(event['content']) ? event['content'] : []
      return blocks.map((block) => String(Reflect.get(Object(block), 'text'))).join('\n')
    })
  }

  /** The first event that fits, once it is in the log. */
  async event(id: string, fits: (event: SessionEvent) => boolean): Promise<SessionEvent> {
    let found: SessionEvent | undefined
    await until(
      'the event to come',
      async () => {
        found = (await this.events(id)).find(fits)
        return found !== undefined
      },
      waitMsMax,
    )
    assert.ok(found)
    return found
  }

  /** The task once it has ended. */
  async ended(id: string): Promise<Task> {
    await until(
      'the task to end',
      async () => (await this.task(id)).completed_at !== null,
      waitMsMax,
    )
    return this.task(id)
  }
}
