import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  type FakeGitHub,
  type Scenario,
  type ScriptedModel,
  startFakeGitHub,
  startScriptedModel,
} from '@longhaul/testing'
import { EventSourceParserStream } from 'eventsource-parser/stream'

const apiKey = 'bench-key-of-this-machine'
const pollMs = 20

/** An event of a session's log, as far as the benchmark reads it. */
interface LoggedEvent {
  readonly seq: number
  readonly type: string
  /** RFC 3339. */
  readonly processed_at: string
  /** Of the benchmark's own events. */
  readonly written_at_ms?: number
}

/** A server as its operator starts it, with a scripted model and a fake GitHub around it. */
export interface Place extends AsyncDisposable {
  readonly model: ScriptedModel
  readonly github: FakeGitHub
  readonly dataDir: string
  /** Of the server's process. */
  readonly pid: number
  /** What the server answers; rejects with a refusal. */
  json<T>(path: string, init?: RequestInit): Promise<T>
  /** Orders a task; its id and its session's. */
  order(o: {
    readonly repoUrl: string
    readonly instructions: string
    /** Of an agent; absent: that of the task's type. */
    readonly agent?: string
  }): Promise<Ordered>
  /** The events of a session as they come, from the first on. */
  follow(sessionId: string, signal: AbortSignal): AsyncGenerator<LoggedEvent>
  events(sessionId: string): Promise<LoggedEvent[]>
  /** Resolves when the task has ended; rejects when it has not completed. */
  completed(task: Ordered, signal: AbortSignal): Promise<void>
}

interface Ordered {
  readonly id: string
  readonly session_id: string
}

export async function openPlace(
  scenarios: readonly Scenario[],
  settings: Readonly<Record<string, string>> = {},
): Promise<Place> {
  await using opened = new AsyncDisposableStack()
  const model = opened.use(await startScriptedModel({ scenarios }))
  const github = opened.use(await startFakeGitHub())
  const dataDir = await mkdtemp(join(tmpdir(), 'longhaul-bench-'))
  await chmod(dataDir, 0o711)
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const server = startServer({
    DATA_DIR: dataDir,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: model.apiKey,
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: github.token,
    ...settings,
  })
  opened.defer(() => stop(server))
  const url = await listening(server)
  const closing = opened.move()
  const request = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
    const response = await fetch(`${url}${path}`, { ...init, headers })
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response
  }
  const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
    (await (await request(path, init)).json()) as T
  return {
    ...{ model, github, dataDir, pid: server.pid ?? 0, json },
    order: ({ repoUrl, ...order }) =>
      json('/v1/tasks', {
        method: 'POST',
        body: JSON.stringify({ type: 'refactor', repo_url: repoUrl, ...order }),
      }),
    async *follow(sessionId, signal) {
      const response = await request(`/v1/sessions/${sessionId}/events/stream?after=0`, { signal })
      const text = response.body?.pipeThrough(new TextDecoderStream())
      for await (const { data } of text?.pipeThrough(new EventSourceParserStream()) ?? [])
        yield JSON.parse(data) as LoggedEvent
    },
    events: async (sessionId) =>
      (await json<{ data: LoggedEvent[] }>(`/v1/sessions/${sessionId}/events?limit=1000`)).data,
    async completed({ id }, signal) {
      for (;;) {
        const task = await json<{ status: string; message: string | null }>(`/v1/tasks/${id}`)
        if (task.status === 'completed') return
        if (task.status === 'failed') throw new Error(`the task failed: ${task.message}`)
        signal.throwIfAborted()
        await new Promise((resolve) => setTimeout(resolve, pollMs))
      }
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

function startServer(settings: Readonly<Record<string, string>>): ChildProcess {
  const launcher = join(import.meta.dirname, '../bin/longhaul.mjs')
  return spawn(process.execPath, [launcher, 'serve'], {
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: '/nonexistent',
      PORT: '0',
      LOG_LEVEL: 'warn',
      LONGHAUL_API_KEY: apiKey,
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function listening(server: ChildProcess): Promise<string> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^listening on (\S+)$/.exec(line)?.[1]
    if (url !== undefined) {
      server.stdout.resume()
      return url
    }
  }
  throw new Error('the server ended before it listened')
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null) return
  const closed = once(server, 'close')
  server.kill('SIGTERM')
  await closed
}
