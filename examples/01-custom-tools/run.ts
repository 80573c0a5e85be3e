/**
 * One task whose agent uses a custom tool of each kind; see README.md. Everything runs on this
 * machine: the model is scripted, GitHub and the ticket tracker are fakes. Its last line is JSON.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { say, script, startFakeGitHub, startScriptedModel, use, when } from '@longhaul/testing'
import { startTicketTracker } from './ticket-tracker.ts'

const token = 'the-token-of-the-tracker'
const apiKey = 'key-of-this-example'

/** What an agent might do with these tools; Claude would decide by itself. */
const scenario = script(
  when(
    'Is the documentation complete',
    use('mcp__longhaul__count_words', { files: ['README.md'] }),
    use('mcp__glossary__define', { word: 'lease' }),
    use('mcp__longhaul__open_ticket', { project: 'docs', title: 'README is too short' }),
    use('mcp__tickets__list', {}),
    say('README.md has five words. Ticket 1 asks for more.'),
  ),
)

await using model = await startScriptedModel({ scenarios: [scenario] })
await using github = await startFakeGitHub({ token: 'github-token' })
const files = { 'README.md': '# Queue\n\nLeases and outbox.\n' }
const repository = await github.createRepository({ owner: 'acme', name: 'queue', files })
const tracker = await startTicketTracker(token)
const directory = await mkdtemp(join(tmpdir(), 'longhaul-example-'))
await chmod(directory, 0o711)
const server = spawn(process.execPath, ['--conditions=longhaul', cli(), 'serve'], {
  env: {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    SANDBOX: process.env['SANDBOX'],
    PORT: '0',
    LOG_LEVEL: 'warn',
    DATA_DIR: join(directory, 'data'),
    LONGHAUL_API_KEY: apiKey,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: model.apiKey,
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: github.token,
    // The two that this example is about.
    TOOLS_FILE: await toolsFile(),
    TICKETS_TOKEN: token,
    // The tracker of this example is on loopback, where nothing else of the agent's may go.
    GATEWAY_ALLOW_PRIVATE: new URL(tracker.url).host,
  },
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  const url = await listening()
  const order = {
    type: 'custom',
    repoUrl: repository.url,
    instructions: 'Is the documentation complete?',
    priority: 'medium',
  }
  const { id } = await ask(`${url}/api/workflows`, order)
  let task = await ask(`${url}/v1/tasks/${id}`)
  while (task.completed_at === null) {
    await setTimeout(250)
    task = await ask(`${url}/v1/tasks/${id}`)
  }
  const events = await ask(`${url}/v1/sessions/${task.session_id}/events?limit=1000`)
  for (const event of events.data) {
    if (event.type === 'agent.mcp_tool_use')
      console.log(`→ ${event.mcp_server_name} ${event.name} ${JSON.stringify(event.input)}`)
    if (event.type === 'agent.mcp_tool_result') console.log(`← ${event.content[0].text}\n`)
  }
  console.log(JSON.stringify({ status: task.status, summary: task.result?.summary ?? task.error }))
  process.exitCode = task.status === 'completed' ? 0 : 1
} finally {
  server.kill('SIGTERM')
  if (server.exitCode === null) await once(server, 'exit')
  tracker.close()
  tracker.closeAllConnections()
  await rm(directory, { recursive: true, force: true })
}

function cli(): string {
  return join(import.meta.dirname, '../../packages/server/src/cli.ts')
}

/** A copy of the tools, whose tracker is the one on loopback. */
async function toolsFile(): Promise<string> {
  const copy = join(directory, 'tools')
  await cp(import.meta.dirname, copy, { recursive: true })
  const path = join(copy, 'tools.json')
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replaceAll('https://tickets.example.com', tracker.url))
  return path
}

async function listening(): Promise<string> {
  for await (const line of createInterface({ input: server.stdout })) {
    const url = /^listening on (\S+)$/.exec(line)?.[1]
    if (url !== undefined) return url
  }
  throw new Error('the server did not start')
}

// biome-ignore lint/suspicious/noExplicitAny: what the server answers is shown as it is
async function ask(url: string, body?: object): Promise<any> {
  const response = await fetch(url, {
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  return response.json()
}
