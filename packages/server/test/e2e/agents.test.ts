import assert from 'node:assert/strict'
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Agent } from '@longhaul/client/contract'
import { type Conversation, say, script, use, when } from '@longhaul/testing'
import { toolNames } from '../../src/runner/toolbox.ts'
import { makeDirectory } from '../support/postgres.ts'
import type { ServerApi } from '../support/server-api.ts'
import { makeWorld } from '../support/world.ts'

const typedTools = toolNames({ tools: [], docker: null }).map((name) => `mcp__longhaul__${name}`)
const files = { 'sum.sh': 'echo $(( $1 + $2 ))\n' }

test('model, effort, prompt, tools and sub-agents of an agent reach the model', async () => {
  const asked: Conversation[] = []
  const seen = (text: string) => (said: string, conversation: Conversation) => {
    if (said.includes(text)) asked.push(conversation)
    return said.includes(text)
  }
  await using world = await makeWorld([
    script(
      when(
        seen('Have it reviewed'),
        use('Bash', { command: 'touch /tmp/made-by-bash' }),
        use('mcp__longhaul__report_progress', { message: 'Reviewing.' }),
        use('KillShell', { shell_id: 'none' }),
        use('Agent', { subagent_type: 'reviewer', description: 'Review', prompt: 'Look at it' }),
        say('Reviewed.'),
      ),
      when(seen('Look at it'), use('Read', { file_path: 'sum.sh' }), say('It adds.')),
    ),
  ])
  const repository = await world.repository('sum', files)
  await using directory = await makeDirectory()
  await using server = await world.start({ TOOLS_FILE: await writeToolsFile(directory.path) })
  const { id: agent } = await post<Agent>(server, '/v1/agents', {
    name: 'Careful',
    model: { id: 'claude-opus-5-5', effort: 'low' },
    system: 'MAIN-PROMPT.',
    tools: [
      {
        type: 'agent_toolset_20260401',
        configs: [
          { name: 'bash', permission_policy: { type: 'always_deny' } },
          { name: 'report_progress', permission_policy: { type: 'always_deny' } },
          { name: 'grep', enabled: false },
          { name: 'other_words', enabled: false },
          { name: 'plan', enabled: false },
        ],
      },
    ],
    subagents: [
      {
        name: 'reviewer',
        description: 'Reviews a change.',
        prompt: 'SUB-PROMPT.',
        tools: ['read', 'glossary'],
        model: 'claude-sonnet-5-5',
        effort: 'high',
      },
    ],
  })
  const order = { repoUrl: repository.url, instructions: 'Have it reviewed.', agent }
  const { id } = await server.order(order)
  const task = await server.ended(id)
  assert.equal(task.reason, 'no_changes', JSON.stringify(task.error))
  assert.deepEqual(task.agent, { type: 'agent', id: agent, version: 1 })

  const main = asked.find(({ lastUserText }) => lastUserText.includes('Have it reviewed'))
  assert.equal(main?.model, 'claude-opus-5-5')
  assert.equal(main.effort, 'low')
  assert.match(main.system, /MAIN-PROMPT\./)
  const builtIn = ['Agent', 'AskUserQuestion', 'Bash', 'Edit', 'Glob', 'Read', 'TaskStop', 'Write']
  const expected = [...builtIn, 'mcp__glossary__define', ...typedTools]
  assert.deepEqual(toolsOf(main), expected.toSorted())
  const sub = asked.find(({ lastUserText }) => lastUserText.includes('Look at it'))
  assert.equal(sub?.model, 'claude-sonnet-5-5')
  assert.equal(sub.effort, 'high')
  assert.match(sub.system, /SUB-PROMPT\./)
  assert.doesNotMatch(sub.system, /MAIN-PROMPT/)
  assert.deepEqual(toolsOf(sub), ['Read', 'mcp__glossary__define'])

  const events = await server.events(id)
  const results = await server.toolResults(id)
  assert.match(results[0] ?? '', /profile does not allow Bash/)
  const bash = events.find((event) => event['name'] === 'Bash')
  assert.equal(bash?.['evaluated_permission'], 'deny')
  const former = events.find((event) => event['name'] === 'KillShell')
  assert.equal(former?.['evaluated_permission'], 'deny')
  const metrics = await (await server.request('/metrics')).text()
  assert.match(metrics, /^longhaul_tool_calls_total\{tool="TaskStop",outcome="denied"\} 1$/m)
  const typed = events.find((event) => event['name'] === 'report_progress')
  assert.equal(typed?.['evaluated_permission'], 'deny')
  assert.equal(
    events.some(({ type }) => type === 'task.progress'),
    false,
  )
})

test('what a task type fixes no agent can widen', async () => {
  const tools: Record<string, readonly string[]> = {}
  const note = (type: string) => (text: string, conversation: Conversation) => {
    if (text.includes(`As ${type}`)) tools[type] = conversation.tools
    return text.includes(`As ${type}`)
  }
  await using world = await makeWorld([
    script(when(note('analysis'), say('# Report')), when(note('deploy'), say('Ready.'))),
  ])
  const repository = await world.repository('sum', files)
  await using server = await world.start()
  const { id: agent } = await post<Agent>(server, '/v1/agents', { name: 'All', system: 'Push!' })
  for (const type of ['analysis', 'deploy']) {
    const order = { type, repoUrl: repository.url, instructions: `As ${type}.`, agent }
    const { id } = await server.order(order)
    assert.equal((await server.ended(id)).status, 'completed')
  }
  for (const name of ['Write', 'Edit']) assert.equal(tools['analysis']?.includes(name), false)
  assert.ok(tools['analysis']?.includes('Bash'))
  assert.equal(tools['deploy']?.includes('Bash'), false)
  assert.ok(tools['deploy']?.includes('Write'))
})

test('tasks that run or wait keep their version of an agent, through an update and a crash', async () => {
  const models: Record<string, Set<string>> = {}
  const go = Promise.withResolvers<void>()
  const note =
    (word: string) =>
    (text: string, { model }: Conversation) => {
      if (!text.includes(word)) return false
      models[word] = (models[word] ?? new Set()).add(model)
      return true
    }
  await using world = await makeWorld([
    script(
      when(note('First'), use('Bash', { command: 'echo 1' }), say('Done.', { until: go.promise })),
      when(note('Second'), say('Done.')),
      when(note('Third'), say('Done.')),
      when('restarted while you worked', say('Done.', { until: go.promise })),
    ),
  ])
  const repository = await world.repository('sum', files)
  const order = (agent: string, instructions: string) => ({
    ...{ repoUrl: repository.url, agent, instructions },
  })
  const settings = { TASK_CONCURRENCY: '1' }
  const ids: string[] = []
  let agent = ''
  {
    await using server = await world.start(settings)
    agent = (await post<Agent>(server, '/v1/agents', { name: 'A', model: 'claude-opus-5-5' })).id
    ids.push((await server.order(order(agent, 'First.'))).id)
    ids.push((await server.order(order(agent, 'Second.'))).id)
    // It is asked for once what the first one did is stored: there is something to go on with.
    await world.model.waitFor(({ turn }) => turn === 1, 240_000)
    const change = { version: 1, model: 'claude-sonnet-5-5' }
    assert.equal((await post<Agent>(server, `/v1/agents/${agent}`, change)).version, 2)
    await server.kill()
  }
  const before = world.model.requests.length
  await using server = await world.start(settings)
  ids.push((await server.order(order(agent, 'Third.'))).id)
  go.resolve()
  for (const id of ids) assert.equal((await server.ended(id)).reason, 'no_changes')
  assert.deepEqual(models, {
    First: new Set(['claude-opus-5-5']),
    Second: new Set(['claude-opus-5-5']),
    Third: new Set(['claude-sonnet-5-5']),
  })
  const resumed = world.model.requests.slice(before).filter(({ turn }) => turn > 0)
  assert.ok(resumed.length > 0)
  for (const { model } of resumed) assert.equal(model, 'claude-opus-5-5')
  const pins = await Promise.all(ids.map(async (id) => (await server.task(id)).agent?.version))
  assert.deepEqual(pins, [1, 1, 2])
})

/** The tools on offer, but for the CLI's own stand-in for those that it would load later. */
function toolsOf({ tools }: Conversation): string[] {
  return tools.filter((name) => name !== 'DeferredToolPlaceholder').toSorted()
}

/** Two MCP servers of one kind. */
async function writeToolsFile(directory: string): Promise<string> {
  const example = join(import.meta.dirname, '../../../../examples/01-custom-tools/glossary.mjs')
  await copyFile(example, join(directory, 'glossary.mjs'))
  const mcp = { argv: ['node', '--input-type=module', '--eval', '{file:glossary.mjs}'] }
  const tools = ['glossary', 'other_words'].map((name) => ({ name, read_only: true, mcp }))
  const path = join(directory, 'tools.json')
  await writeFile(path, JSON.stringify({ tools }))
  return path
}

async function post<T>(server: ServerApi, path: string, body: object): Promise<T> {
  const answer = await server.request(path, { method: 'POST', body: JSON.stringify(body) })
  const text = await answer.text()
  assert.ok(answer.ok, text)
  return JSON.parse(text)
}
