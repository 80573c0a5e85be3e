import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { SessionEvent, Task, Workflow } from '@longhaul/client/contract'
import { until } from './until.ts'

/** The server as its operator runs it: a process of its own, reached over HTTP. */
export class ServerProcess implements AsyncDisposable {
  readonly url: string
  readonly #child: ChildProcess
  readonly #lines: readonly string[]
  static readonly key = 'test-key-0123456789'

  private constructor(child: ChildProcess, url: string, lines: readonly string[]) {
    this.#child = child
    this.url = url
    this.#lines = lines
  }

  /** Resolves when it listens; rejects with what it printed when it ends before that. */
  static async start(settings: Readonly<Record<string, string>>): Promise<ServerProcess> {
    const cli = join(import.meta.dirname, '../../src/cli.ts')
    const child = spawn(process.execPath, ['--conditions=longhaul', cli, 'serve'], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: '/nonexistent',
        PORT: '0',
        LOG_LEVEL: 'info',
        LONGHAUL_API_KEY: ServerProcess.key,
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const lines: string[] = []
    const listening = Promise.withResolvers<string>()
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        const url = /^listening on (\S+)$/.exec(line)?.[1]
        if (url !== undefined) listening.resolve(url)
      })
    }
    child.once('close', (code) =>
      listening.reject(new Error(`the server ended with ${code}: ${lines.join('\n')}`)),
    )
    return new ServerProcess(child, await listening.promise, lines)
  }

  /** Everything it has printed. */
  get output(): string {
    return this.#lines.join('\n')
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** `kill -9`, and the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM, as a supervisor stops it; its exit code. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM')
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${ServerProcess.key}`,
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

  order(order: object): Promise<Workflow> {
    return this.#json('/api/workflows', { method: 'POST', body: JSON.stringify(order) })
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

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill(signal)
    await closed
  }
}

/** Generous: a busy machine is slow, and a condition that holds ends the wait at once. */
const waitMsMax = 90_000
