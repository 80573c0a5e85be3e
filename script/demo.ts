/**
 * One task from order to pull request; see `script/demo`. Everything runs on this machine and is
 * gone afterwards. Its last line is JSON, for programs.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { say, script, startFakeGitHub, startScriptedModel, use, when } from '@longhaul/testing'
import { EventSourceParserStream } from 'eventsource-parser/stream'

const instructions = 'The test of sum() fails. Find out why, and mend it.'
const apiKey = 'demo-key-of-this-machine'
/** The demo gives up after this; with Claude at work it may take minutes. */
const waitMsMax = 15 * 60_000

const scenario = script(
  when(
    'The test of sum() fails',
    use('Bash', { command: 'npm test 2>&1 | tail -20', description: 'Run the tests' }),
    use('Read', { file_path: 'src/sum.js' }),
    use('Bash', {
      command: "sed -i 's/a - b/a + b/' src/sum.js && npm test 2>&1 | tail -8",
      description: 'Mend the sum and run the tests again',
    }),
    say('`sum` subtracted its second argument. It adds it now, and the tests pass.'),
  ),
)

const files = {
  'package.json': `${JSON.stringify({ name: 'sum', type: 'module', scripts: { test: 'node --test' } }, null, 2)}\n`,
  'src/sum.js': 'export const sum = (a, b) => a - b\n',
  'test/sum.test.js': [
    "import assert from 'node:assert'",
    "import { test } from 'node:test'",
    "import { sum } from '../src/sum.js'",
    "test('two and three are five', () => assert.equal(sum(2, 3), 5))",
    '',
  ].join('\n'),
}

interface Workflow {
  readonly id: string
  readonly status: string
  readonly result: {
    readonly branch: string | null
    readonly pullRequestUrl: string | null
    readonly checks: { readonly outcome: string }
    readonly summary: string
  } | null
  readonly error: { readonly message: string } | null
}

await main()

async function main(): Promise<void> {
  const real = process.env['ANTHROPIC_API_KEY'] ?? process.env['ANTHROPIC_AUTH_TOKEN']
  await using model = await startScriptedModel({ scenarios: [scenario] })
  await using github = await startFakeGitHub({ token: 'demo-github-token' })
  const repository = await github.createRepository({ owner: 'acme', name: 'sum', files })
  const dataDir = await mkdtemp(join(tmpdir(), 'longhaul-demo-'))
  await chmod(dataDir, 0o711)
  const server = startServer({
    PORT: '0',
    DATA_DIR: dataDir,
    LONGHAUL_API_KEY: apiKey,
    LOG_LEVEL: 'warn',
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: 'demo-github-token',
    ...(real === undefined
      ? { ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: model.apiKey }
      : modelSettings()),
  })
  try {
    const url = await listening(server)
    const events = await follow(url, repository.url)
    const task = await get<Workflow>(`${url}/api/workflows/${events.taskId}`)
    if (task.result?.branch) {
      console.log(`\n${await repository.diff('main', task.result.branch)}`)
    }
    console.log(`\n${task.result?.summary ?? task.error?.message ?? ''}\n`)
    console.log(
      JSON.stringify({
        status: task.status,
        branch: task.result?.branch ?? null,
        pullRequestUrl: task.result?.pullRequestUrl ?? null,
        checks: task.result?.checks.outcome ?? null,
        events: events.count,
      }),
    )
    process.exitCode = task.status === 'completed' ? 0 : 1
  } finally {
    await stop(server)
    await rm(dataDir, { recursive: true, force: true })
  }
}

function modelSettings(): Record<string, string> {
  const names = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_BASE_URL', 'MODEL']
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** The server as its operator starts it, with an environment of its own. */
function startServer(settings: Readonly<Record<string, string>>): ChildProcess {
  const { PATH = '', HOME = '/', SANDBOX = 'bubblewrap' } = process.env
  return spawn(process.execPath, ['--conditions=longhaul', 'packages/server/src/cli.ts', 'serve'], {
    cwd: join(import.meta.dirname, '..'),
    env: { PATH, HOME, SANDBOX, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function listening(server: ChildProcess): Promise<string> {
  if (server.stdout === null) throw new Error('the server has no output')
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^listening on (\S+)$/.exec(line)?.[1]
    if (url !== undefined) return url
  }
  throw new Error('the server did not start')
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  server.kill('SIGTERM')
  await once(server, 'exit')
}

/** Orders the task and shows its events until the last one. */
async function follow(url: string, repoUrl: string): Promise<{ taskId: string; count: number }> {
  const ordered = await post<Workflow>(`${url}/api/workflows`, {
    type: 'test',
    repoUrl,
    instructions,
    priority: 'high',
  })
  console.log(`ordered ${ordered.id}: ${instructions}`)
  const { session_id } = await get<{ session_id: string }>(`${url}/v1/tasks/${ordered.id}`)
  const stream = await fetch(`${url}/v1/sessions/${session_id}/events/stream?after=0`, {
    headers: { authorization: `Bearer ${apiKey}` },
    signal: AbortSignal.timeout(waitMsMax),
  })
  if (stream.body === null) throw new Error('the stream has no body')
  let count = 0
  const started = Date.now()
  const events = stream.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
  for await (const { event = '', data, id } of events) {
    if (id === undefined) continue
    count += 1
    const seconds = ((Date.now() - started) / 1000).toFixed(1).padStart(5)
    console.log(
      `${id.padStart(4)} ${seconds} s  ${event.padEnd(28)} ${summaryOf(JSON.parse(data))}`,
    )
    if (event === 'session.status_terminated') break
  }
  return { taskId: ordered.id, count }
}

/** The part of an event that a person wants to see, on one line. */
function summaryOf(event: Readonly<Record<string, unknown>>): string {
  const { message, name, input, content, branch, url, results, reason, host, why } = event
  const shown =
    message ??
    url ??
    (name === undefined
      ? (content ?? results ?? branch ?? why ?? host ?? reason ?? '')
      : [name, input])
  const text = typeof shown === 'string' ? shown : JSON.stringify(shown)
  return text.replace(/\s+/g, ' ').slice(0, 100)
}

async function get<T>(url: string): Promise<T> {
  return answered(await fetch(url, { headers: { authorization: `Bearer ${apiKey}` } }))
}

async function post<T>(url: string, body: object): Promise<T> {
  return answered(
    await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  )
}

async function answered<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}
