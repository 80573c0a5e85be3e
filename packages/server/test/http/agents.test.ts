import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Agent, errorBody } from '@longhaul/client/contract'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function ask<T = Agent>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await server.send(method, path, body === undefined ? {} : { body })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return JSON.parse(text)
}

async function refused(status: number, path: string, body: unknown) {
  const answer = await server.send('POST', path, { body })
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return errorBody.parse(JSON.parse(text))
}

const reviewer = {
  name: 'reviewer',
  description: 'Reviews a change.',
  prompt: 'You review.',
  tools: ['read', 'grep'],
}

test('an agent has its tools in full, and everything else that was said', async () => {
  const answer = await server.send('POST', '/v1/agents', {
    body: {
      name: 'Careful',
      model: { id: 'claude-sonnet-5-5', effort: 'high' },
      system: 'Be careful.',
      tools: [
        {
          type: 'agent_toolset_20260401',
          default_config: { permission_policy: { type: 'always_allow' } },
          configs: [
            { name: 'bash', permission_policy: { type: 'always_deny' } },
            { name: 'report_progress', enabled: false },
          ],
        },
      ],
      subagents: [reviewer],
      max_turns: 12,
      metadata: { team: 'payments' },
    },
  })
  assert.equal(answer.status, 201)
  const made: Agent = JSON.parse(await answer.text())
  assert.equal(answer.headers.get('location'), `/v1/agents/${made.id}`)
  const allow = { enabled: true, permission_policy: { type: 'always_allow' } }
  assert.deepEqual(made, {
    type: 'agent',
    id: made.id,
    version: 1,
    name: 'Careful',
    description: null,
    model: { id: 'claude-sonnet-5-5', effort: { type: 'high' } },
    system: 'Be careful.',
    tools: [
      {
        type: 'agent_toolset_20260401',
        default_config: allow,
        configs: [
          { name: 'bash', enabled: true, permission_policy: { type: 'always_deny' } },
          { ...allow, name: 'report_progress', enabled: false },
        ],
      },
    ],
    subagents: [{ ...reviewer, model: null, effort: null, max_turns: null }],
    max_turns: 12,
    metadata: { team: 'payments' },
    task_type: null,
    created_by: made.created_by,
    created_at: made.created_at,
    updated_at: made.created_at,
    archived_at: null,
  })
  assert.match(made.id, /^agent_[0-9a-z]{26}$/)
  assert.deepEqual(await ask('GET', `/v1/agents/${made.id}`), made)
})

test('what is left out is every tool of the server and the model of the server', async () => {
  const { model, tools } = await ask('POST', '/v1/agents', { name: 'Plain' })
  assert.deepEqual(model, { id: null })
  assert.deepEqual(tools[0]?.default_config.enabled, true)
  const bare = await ask('POST', '/v1/agents', { name: 'Bare', tools: [] })
  assert.deepEqual(bare.tools, [])
  const short = await ask('POST', '/v1/agents', { name: 'Short', model: 'claude-opus-5-5' })
  assert.deepEqual(short.model, { id: 'claude-opus-5-5' })
})

test('a change is a new version from the one that was read; the old one stays as it was', async () => {
  const metadata = { a: '1', b: '2' }
  const first = await ask('POST', '/v1/agents', { name: 'One', system: 'Old.', metadata })
  const path = `/v1/agents/${first.id}`
  const second = await ask('POST', path, {
    version: 1,
    system: 'New.',
    model: { id: 'claude-opus-5-5', effort: { type: 'low' } },
    metadata: { a: null, c: '3' },
  })
  assert.equal(second.version, 2)
  assert.equal(second.name, 'One')
  assert.equal(second.system, 'New.')
  assert.deepEqual(second.metadata, { b: '2', c: '3' })
  assert.equal(second.created_at, first.created_at)
  assert.deepEqual(await ask('GET', path), second)
  assert.deepEqual(await ask('GET', `${path}?version=1`), first)

  const { error } = await refused(409, path, { version: 1, system: 'Mine.' })
  assert.equal(error.details?.error_code, 'version_conflict')
  const same = await ask('POST', path, { version: 2, system: 'New.' })
  assert.equal(same.version, 2, 'a change that changes nothing makes no version')
  const cleared = await ask('POST', path, { system: null, model: null })
  assert.equal(cleared.version, 3)
  assert.equal(cleared.system, null)
  assert.deepEqual(cleared.model, { id: null })

  const page = await ask<Page>('GET', `${path}/versions?limit=2`)
  assert.deepEqual(
    page.data.map(({ version }) => version),
    [3, 2],
  )
  const rest = await ask<Page>('GET', `${path}/versions?limit=2&page=${page.next_page}`)
  assert.deepEqual(rest, { data: [first], next_page: null })
  assert.equal((await server.send('GET', `${path}?version=9`)).status, 404)
})

interface Page {
  readonly data: Agent[]
  readonly next_page: string | null
}

test('of changes that race from one version, one is made', async () => {
  const { id } = await ask('POST', '/v1/agents', { name: 'Raced' })
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) =>
      server.send('POST', `/v1/agents/${id}`, { body: { version: 1, system: `From ${n}.` } }),
    ),
  )
  const statuses = answers.map(({ status }) => status).sort()
  assert.deepEqual(statuses, [200, ...Array.from({ length: 7 }, () => 409)])
  for (const { status, headers } of answers)
    if (status === 409) assert.equal(headers.get('x-should-retry'), 'false')
})

test('the five presets are agents, the same in every installation', async () => {
  const all: Agent[] = []
  for (let page: string | null = ''; page !== null; ) {
    const next: Page = await ask('GET', `/v1/agents?limit=3${page && `&page=${page}`}`)
    all.push(...next.data)
    page = next.next_page
  }
  const seeded = all.filter(({ task_type: type }) => type !== null)
  assert.deepEqual(
    seeded.map(({ id, task_type: type }) => [type, id.replace(/^agent_0+/, '')]).reverse(),
    [
      ['refactor', '1'],
      ['analysis', '2'],
      ['test', '3'],
      ['deploy', '4'],
      ['custom', '5'],
    ],
  )
  for (const { created_by: by, version } of seeded) assert.deepEqual([by, version], [null, 1])
})

test('a task pins the version it was made with, that of its type if it names none', async () => {
  const { id } = await ask('POST', '/v1/agents', { name: 'Pinned', system: 'One.' })
  await ask('POST', `/v1/agents/${id}`, { system: 'Two.' })
  const pinOf = async (given: object) =>
    (await ask<{ agent: unknown }>('POST', '/v1/tasks', { ...order, ...given })).agent
  assert.deepEqual(await pinOf({ agent: id }), { type: 'agent', id, version: 2 })
  const old = { type: 'agent', id, version: 1 }
  assert.deepEqual(await pinOf({ agent: old }), old)
  const refactor = { type: 'agent', id: `agent_${'1'.padStart(26, '0')}`, version: 1 }
  assert.deepEqual(await pinOf({}), refactor)
  const workflow = await ask<{ id: string }>('POST', '/api/workflows', {
    ...workflowOrder,
    agent: old,
  })
  assert.deepEqual((await ask<{ agent: unknown }>('GET', `/v1/tasks/${workflow.id}`)).agent, old)
})

test('an archived agent takes no new task and no change; its versions can be read', async () => {
  const made = await ask('POST', '/v1/agents', { name: 'Gone' })
  const path = `/v1/agents/${made.id}`
  const archived = await ask('POST', `${path}/archive`)
  assert.notEqual(archived.archived_at, null)
  assert.deepEqual(await ask('POST', `${path}/archive`), archived)
  const { error } = await refused(400, '/v1/tasks', { ...order, agent: made.id })
  assert.deepEqual(
    error.details?.fields?.map(({ field }) => field),
    ['agent'],
  )
  assert.match(error.message, /not archived/)
  const change = await refused(409, path, { version: 1, name: 'Back' })
  assert.equal(change.error.details?.error_code, 'agent_archived')
  const listed = async (query: string) =>
    (await ask<Page>('GET', `/v1/agents?limit=100${query}`)).data.some(({ id }) => id === made.id)
  assert.equal(await listed(''), false)
  assert.equal(await listed('&include_archived=true'), true)
  const preset = await refused(409, `/v1/agents/agent_${'1'.padStart(26, '0')}/archive`, {})
  assert.equal(preset.error.details?.error_code, 'agent_of_type')
})

const nobody = `agent_${'9'.padStart(26, '0')}`
const toolsetOf = (configs: unknown[]) => [{ type: 'agent_toolset_20260401', configs }]

/** What is refused, the fields that are named, and a word of the sentence. */
const badAgents: readonly [what: string, body: object, fields: string[], says: RegExp][] = [
  ['no name', {}, ['name'], /a string/],
  ['an unknown field', { name: 'a', colour: 'red' }, ['colour'], /unknown field/],
  [
    'an unknown tool',
    { name: 'a', tools: toolsetOf([{ name: 'teleport' }]) },
    ['tools.0.configs.0.name'],
    /"teleport"/,
  ],
  [
    'a tool twice',
    { name: 'a', tools: toolsetOf([{ name: 'bash' }, { name: 'bash' }]) },
    ['tools.0.configs.1.name'],
    /once/,
  ],
  [
    'two toolsets',
    { name: 'a', tools: [...toolsetOf([]), ...toolsetOf([])] },
    ['tools'],
    /at most 1/,
  ],
  ['a model that is an option', { name: 'a', model: '--help' }, ['model'], /id of a model/],
  [
    'an unknown effort',
    { name: 'a', model: { id: 'm', effort: 'huge' } },
    ['model.effort'],
    /low, medium, high, xhigh, max, got "huge"/,
  ],
  [
    'an unknown field of the model',
    { name: 'a', model: { id: 'm', speed: 'fast' } },
    ['model.speed'],
    /unknown field/,
  ],
  ['too many turns', { name: 'a', max_turns: 1001 }, ['max_turns'], /at most 1000/],
  ['too long a system prompt', { name: 'a', system: 'x'.repeat(100_001) }, ['system'], /100000/],
  ['NUL in it', { name: 'a', system: 'a\0b' }, ['system'], /NUL/],
  [
    'too much metadata',
    {
      name: 'a',
      metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, ''])),
    },
    ['metadata'],
    /16/,
  ],
  [
    'subagents of one name',
    { name: 'a', subagents: [reviewer, reviewer] },
    ['subagents.1.name'],
    /once/,
  ],
  [
    'a subagent’s bad name',
    { name: 'a', subagents: [{ ...reviewer, name: 'A b' }] },
    ['subagents.0.name'],
    /lower-case/,
  ],
  [
    'a subagent’s unknown tool',
    { name: 'a', subagents: [{ ...reviewer, tools: ['teleport'] }] },
    ['subagents.0.tools.0'],
    /"teleport"/,
  ],
  [
    'a subagent’s tool that the agent has not',
    { name: 'a', tools: toolsetOf([{ name: 'grep', enabled: false }]), subagents: [reviewer] },
    ['subagents.0.tools.1'],
    /may use/,
  ],
  [
    'subagents that nothing starts',
    { name: 'a', tools: toolsetOf([{ name: 'agent', enabled: false }]), subagents: [reviewer] },
    ['subagents'],
    /the tool agent/,
  ],
  [
    'several at once',
    { name: '', model: 7, max_turns: 0 },
    ['name', 'model', 'max_turns'],
    /at least 1/,
  ],
]

for (const [what, body, fields, says] of badAgents)
  test(`an agent is refused with ${what}, by name`, async () => {
    const { error } = await refused(400, '/v1/agents', body)
    assert.deepEqual(error.details?.fields?.map(({ field }) => field).sort(), [...fields].sort())
    assert.match(error.message, says)
    assert.equal(error.details?.error_code, 'invalid_input')
  })

const asking = (type: string) => toolsetOf([{ name: 'bash', permission_policy: { type } }])
const unsupported: readonly [what: string, body: object, field: string][] = [
  ['auto', { tools: asking('auto') }, 'tools.0.configs.0.permission_policy.type'],
  ['web_search', { tools: toolsetOf([{ name: 'web_search' }]) }, 'tools.0.configs.0.name'],
  ['MCP toolsets', { tools: [{ type: 'mcp_toolset' }] }, 'tools.0.type'],
  ['MCP servers', { mcp_servers: [{ type: 'url', name: 'a', url: 'https://a' }] }, 'mcp_servers'],
  ['skills', { skills: [{ type: 'anthropic', skill_id: 'pdf' }] }, 'skills'],
  ['rosters', { multiagent: { type: 'coordinator', agents: [] } }, 'multiagent'],
]

for (const [what, body, field] of unsupported)
  test(`what the protocol has and this server has not is said so: ${what}`, async () => {
    const { error } = await refused(400, '/v1/agents', { name: 'a', ...body })
    assert.equal(error.type, 'invalid_request_error')
    assert.equal(error.details?.error_code, 'unsupported_feature')
    assert.deepEqual(
      error.details?.fields?.map((each) => each.field),
      [field],
    )
    assert.match(error.message, /not supported/)
  })

test('an order is refused by the field when it names no agent that there is', async () => {
  const seeded = `agent_${'1'.padStart(26, '0')}`
  const fieldOf = async (agent: unknown) =>
    (await refused(400, '/v1/tasks', { ...order, agent })).error.details?.fields?.map(
      ({ field }) => field,
    )
  assert.deepEqual(await fieldOf(nobody), ['agent'])
  assert.deepEqual(await fieldOf('refactor'), ['agent'])
  assert.deepEqual(await fieldOf({ id: seeded, version: 99 }), ['agent.version'])
  assert.deepEqual(await fieldOf({ id: seeded, version: 0 }), ['agent.version'])
  assert.equal((await server.send('GET', `/v1/agents/${nobody}`)).status, 404)
  assert.equal((await server.send('POST', `/v1/agents/${nobody}`, { body: {} })).status, 404)
  assert.equal((await server.send('POST', `/v1/agents/${nobody}/archive`)).status, 404)
})

test('metadata that could not be kept as it is is refused by its key, made or changed', async () => {
  const made = await ask('POST', '/v1/agents', { name: 'Kept', metadata: { constructor: 'a' } })
  for (const [key, value] of [
    ['a\0', 'x'],
    ['\ud800', 'x'],
    ['nul', 'x\0'],
    ['half', '\udc00'],
    ['__proto__', 'x'],
  ] as const) {
    const metadata = Object.fromEntries([[key, value]])
    for (const [path, body] of [
      ['/v1/agents', { name: 'Not', metadata }],
      [`/v1/agents/${made.id}`, { metadata }],
    ] as const) {
      const { error } = await refused(400, path, body)
      const fields = JSON.stringify(error.details)
      assert.ok(fields.includes(JSON.stringify(`metadata.${key}`).slice(1, -1)), fields)
    }
  }
  const same = await ask('POST', `/v1/agents/${made.id}`, { metadata: { constructor: 'a' } })
  assert.deepEqual([same.version, same.metadata], [1, { constructor: 'a' }])
})
