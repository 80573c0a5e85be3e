/** An operator's own tools, of every kind, in the hands of a scripted agent that is not to be trusted. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { say, script, use, when } from '@longhaul/testing'
import { startTicketTracker } from '../../../../examples/01-custom-tools/ticket-tracker.ts'
import { makeDirectory } from '../support/postgres.ts'
import { assertOnlyDecoys, searchProgram } from '../support/search.ts'
import type { ServerProcess } from '../support/server.ts'
import { makeWorld, type World } from '../support/world.ts'

const example = join(import.meta.dirname, '../../../../examples/01-custom-tools')
/** Of the ticket tracker; it looks different in every encoding. */
const token = 'canary"ticket/token?5b1d~~'

const curl = 'curl -s -m 60 -H "Authorization: Bearer guess"'
const mcpPath = '$(dirname $ANTHROPIC_BASE_URL)/mcp/tickets'
const listing = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list"}}'

const scenario = script(
  when(
    'Use every tool',
    use('mcp__longhaul__count_words', { files: ['README.md', '-e', 'README.md'] }),
    use('mcp__longhaul__count_words', { files: ['; touch injected', '$(touch injected)'] }),
    use('mcp__longhaul__open_ticket', { project: 'docs', title: 'Too "short"', priority: 2 }),
    use('mcp__longhaul__open_ticket', { project: '../admin', title: 'Too short' }),
    use('mcp__longhaul__open_page', { page: '..' }),
    use('mcp__longhaul__open_page', { page: 'a/../b?c=d#e' }),
    use('mcp__longhaul__echo_input', { text: 'a "quoted"\nline' }),
    use('mcp__longhaul__sleep', {}),
    use('mcp__longhaul__denied', {}),
    use('mcp__glossary__define', { word: 'lease' }),
    use('mcp__tickets__list', {}),
    use('Bash', { command: `${curl} ${mcpPath} -d '${listing}'` }),
    use('Bash', { command: 'node search.mjs; ls' }),
    say('Used.'),
  ),
  when(
    'Only look',
    use('mcp__longhaul__open_ticket', { project: 'docs', title: 'Not mine' }),
    use('mcp__longhaul__count_words', { files: ['README.md'] }),
    use('mcp__glossary__define', { word: 'outbox' }),
    use('Bash', { command: `${curl} ${mcpPath} -d '${listing}'` }),
    say('Looked.'),
  ),
)

let world: World
let server: ServerProcess
const stack = new AsyncDisposableStack()
before(async () => {
  world = stack.use(await makeWorld([scenario]))
  const tracker = await startTicketTracker(token)
  stack.defer(() => {
    tracker.close()
    tracker.closeAllConnections()
  })
  const { path: directory } = stack.use(await makeDirectory())
  server = await world.start({
    TOOLS_FILE: await toolsFile(directory, tracker.url),
    TICKETS_TOKEN: token,
    GATEWAY_ALLOW_PRIVATE: new URL(tracker.url).host,
  })
  stack.defer(() => server[Symbol.asyncDispose]())
})
after(() => stack.disposeAsync())

/** The example's, with its tracker on loopback, and three tools more. */
async function toolsFile(directory: string, url: string): Promise<string> {
  await cp(example, directory, { recursive: true })
  const path = join(directory, 'tools.json')
  const file = JSON.parse(
    (await readFile(path, 'utf8')).replaceAll('https://tickets.example.com', url),
  )
  const fields = (name: string) => ({
    input: { type: 'object', properties: { [name]: { type: 'string' } }, required: [name] },
  })
  const secret_headers = { authorization: { env: 'TICKETS_TOKEN', prefix: 'Bearer ' } }
  const get = { method: 'GET', url: `${url}/pages/{page}`, secret_headers }
  file.tools.push(
    { name: 'open_page', description: 'Opens a page.', ...fields('page'), http: get },
    {
      name: 'echo_input',
      description: 'Says its input.',
      ...fields('text'),
      command: { argv: ['bash', '-c', 'cat; echo; exit 3'], stdin: true },
    },
    {
      name: 'sleep',
      description: 'Takes too long.',
      timeout_seconds: 2,
      command: { argv: ['sleep', '600'] },
    },
    {
      name: 'denied',
      description: 'Is never run.',
      permission_policy: 'always_deny',
      command: { argv: ['touch', 'denied'] },
    },
  )
  await writeFile(path, JSON.stringify(file))
  return path
}

/** What the agent's tools answered, in their order. */
async function answers(order: object) {
  const files = { 'README.md': 'Four words in here.\n', 'search.mjs': searchProgram({ token }) }
  const repository = await world.repository('tools', files)
  const { id } = await server.order({ repoUrl: repository.url, ...order })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  const events = await server.events(id)
  const results = events.filter(({ type }) => /^agent\.(mcp_)?tool_result$/.test(type))
  const texts = results.map((event) => {
    const [block] = Array.isArray(event['content']) ? event['content'] : []
    return { text: String(Reflect.get(Object(block), 'text')), isError: event['is_error'] === true }
  })
  return { texts, told: JSON.stringify([events, task]) + server.output }
}

test('each kind of tool does its work, and no secret of one is in the sandbox or in what is told', async () => {
  const { texts, told } = await answers({ type: 'custom', instructions: 'Use every tool.' })
  const [counted, uninjected, opened, project, dots, page, echoed, slow, denied, ...rest] = texts
  const [defined, listed, direct, searched] = rest

  assert.match(counted?.text ?? '', /exit code 1.*4 README\.md.*can't read -e:/s)
  assert.match(uninjected?.text ?? '', /exit code 1.*can't read ; touch injected:/s)
  assert.equal(opened?.text, '201 application/json\n\n{"number":1,"opened_by":"Bearer [secret]"}')
  assert.match(project?.text ?? '', /not valid.*project/)
  assert.match(dots?.text ?? '', /cannot be "\.\."/)
  assert.match(page?.text ?? '', /^404 .*"\/pages\/a%2F\.\.%2Fb%3Fc%3Dd%23e"/s)
  assert.match(echoed?.text ?? '', /exit code 3.*\{"text":"a \\"quoted\\"\\nline"\}/s)
  assert.match(slow?.text ?? '', /longer than 2 s/)
  assert.match(denied?.text ?? '', /does not allow denied/)
  for (const refused of [counted, uninjected, project, dots, page, echoed, slow, denied])
    assert.ok(refused?.isError, refused?.text)

  assert.match(defined?.text ?? '', /^The right to work/)
  assert.equal(listed?.text, '1 docs: Too "short"\nseen by Bearer [secret]')
  // The shell reaches what the agent reaches, with the gateway's secret, not with one of its own.
  assert.match(direct?.text ?? '', /seen by Bearer \[secret\]/)
  const [found, files] = [searched?.text.split(/\n(?=README\.md)/)[0], searched?.text ?? '']
  assertOnlyDecoys(found ?? '')
  assert.doesNotMatch(files, /injected|denied/)
  assert.ok(!told.includes(JSON.stringify(token).slice(1, -1)))
})

test('an agent that only reads has what is marked so, and its shell reaches nothing more', async () => {
  const { texts } = await answers({ type: 'analysis', instructions: 'Only look.' })
  const [opened, counted, defined, direct] = texts
  assert.match(opened?.text ?? '', /No such tool|no tool/i)
  assert.equal(counted?.text, '4 README.md\n')
  assert.match(defined?.text ?? '', /^Messages that are stored/)
  assert.match(direct?.text ?? '', /no such MCP server/)
})

test('the example runs from end to end', async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=longhaul', join(example, 'run.ts')],
    { timeout: 120_000 },
  )
  assert.match(stdout, /"opened_by":"Bearer \[secret\]"/)
  assert.match(stdout, /1 docs: README is too short\nseen by Bearer \[secret\]/)
  assert.equal(JSON.parse(stdout.trim().split('\n').at(-1) ?? '').status, 'completed')
})
