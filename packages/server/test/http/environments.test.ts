import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Environment, errorBody, type Session, type Task } from '@longhaul/client/contract'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'

let server: TestApp
let plainKey: string
before(async () => {
  server = await openTestApp()
  plainKey = await createKey(
    { store: server.store, clock: systemClock },
    { name: 'orders', scopes: ['tasks:read', 'tasks:write'] },
  )
})
after(() => server[Symbol.asyncDispose]())

async function ask<T = Environment>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await server.send(method, path, body === undefined ? {} : { body })
  const text = await answer.text()
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`)
  return JSON.parse(text)
}

/** What a POST is refused with, by a key that may order and nothing else if `plain`. */
async function refused(status: number, path: string, body: unknown, o: { plain?: boolean } = {}) {
  const headers = o.plain === true ? { authorization: `Bearer ${plainKey}` } : {}
  const answer = await server.send('POST', path, { body, headers })
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  return errorBody.parse(JSON.parse(text)).error
}

const limited = {
  type: 'limited',
  allowed_hosts: ['Registry.example.com', 'files.example.com:8443'],
}
const strict = { name: 'strict', config: { type: 'cloud', networking: limited } }

test('an environment has its policy in full, and what was left out is closed', async () => {
  const made = await ask('POST', '/v1/environments', {
    ...strict,
    limits: { memory_mib: 512 },
    metadata: { team: 'payments' },
  })
  assert.match(made.id, /^env_[0-9a-z]{26}$/)
  assert.deepEqual(made, {
    type: 'environment',
    id: made.id,
    version: 1,
    name: 'strict',
    description: null,
    config: {
      type: 'cloud',
      networking: {
        type: 'limited',
        allowed_hosts: ['registry.example.com', 'files.example.com:8443'],
        allow_package_managers: false,
        allow_mcp_servers: false,
      },
      packages: { npm: [] },
      allow_model_fetch: false,
    },
    limits: {
      memory_mib: 512,
      cpus: null,
      processes: null,
      open_files: null,
      tmp_mib: null,
      disk_mib: null,
    },
    secrets: [],
    metadata: { team: 'payments' },
    is_default: false,
    created_by: made.created_by,
    created_at: made.created_at,
    updated_at: made.created_at,
    archived_at: null,
  })
  assert.deepEqual(await ask('GET', `/v1/environments/${made.id}`), made)
  const bare = await ask('POST', '/v1/environments', { name: 'bare', config: { type: 'cloud' } })
  assert.deepEqual(bare.config.networking, { type: 'none' })
})

test('the default environment is there from the start, and can be changed, not archived', async () => {
  const { data } = await ask<{ data: Environment[] }>('GET', '/v1/environments')
  const seeded = data.find(({ is_default }) => is_default)
  assert.ok(seeded)
  const error = await refused(409, `/v1/environments/${seeded.id}/archive`, {})
  assert.equal(error.details?.error_code, 'environment_is_default')
})

test('a change is a new version; the old one stays as it was, and a race is told', async () => {
  const first = await ask('POST', '/v1/environments', strict)
  const path = `/v1/environments/${first.id}`
  const second = await ask('POST', path, { version: 1, limits: { cpus: 0.5 } })
  assert.equal(second.version, 2)
  assert.equal(second.limits.cpus, 0.5)
  assert.deepEqual(second.config, first.config)
  assert.deepEqual(await ask('GET', `${path}?version=1`), first)
  const error = await refused(409, path, { version: 1, name: 'mine' })
  assert.equal(error.details?.error_code, 'version_conflict')
  const { data } = await ask<{ data: Environment[] }>('GET', `${path}/versions`)
  assert.deepEqual(
    data.map(({ version }) => version),
    [2, 1],
  )
  await ask('POST', `${path}/archive`, {})
  const archived = await refused(409, path, { name: 'late' })
  assert.equal(archived.details?.error_code, 'environment_archived')
})

const network = (networking: object) => ({ name: 'a', config: { type: 'cloud', networking } })
const bad: readonly [what: string, body: object, field: string][] = [
  ['no name', { config: { type: 'cloud' } }, 'name'],
  ['a network that is not known', network({ type: 'open' }), 'config.networking.type'],
  [
    'an address',
    network({ ...limited, allowed_hosts: ['10.0.0.1'] }),
    'config.networking.allowed_hosts.0',
  ],
  [
    'a wildcard',
    network({ ...limited, allowed_hosts: ['*.example.com'] }),
    'config.networking.allowed_hosts.0',
  ],
  [
    'a URL',
    network({ ...limited, allowed_hosts: ['https://a.example'] }),
    'config.networking.allowed_hosts.0',
  ],
  [
    'port 0',
    network({ ...limited, allowed_hosts: ['a.example:0'] }),
    'config.networking.allowed_hosts.0',
  ],
  [
    'hosts of no network',
    network({ type: 'none', allowed_hosts: [] }),
    'config.networking.allowed_hosts',
  ],
  ['too little memory', { ...strict, limits: { memory_mib: 1 } }, 'limits.memory_mib'],
  ['a limit that is none', { ...strict, limits: { disk: 1 } }, 'limits.disk'],
  [
    'a package from elsewhere',
    { name: 'a', config: { type: 'cloud', packages: { npm: ['git+ssh://x'] } } },
    'config.packages.npm.0',
  ],
  [
    'a package that is an option',
    { name: 'a', config: { type: 'cloud', packages: { npm: ['--ignore-scripts=false'] } } },
    'config.packages.npm.0',
  ],
  ['a secret of a bad name', { ...strict, secrets: ['lower'] }, 'secrets.0'],
]
for (const [what, body, field] of bad)
  test(`an environment is refused with ${what}, by name`, async () => {
    const error = await refused(400, '/v1/environments', body)
    assert.ok(
      error.details?.fields?.some((one) => one.field === field),
      error.message,
    )
  })

for (const [what, body] of [
  ['self-hosted workers', { name: 'a', config: { type: 'self_hosted' } }],
  ['apt packages', { name: 'a', config: { type: 'cloud', packages: { apt: ['jq'] } } }],
] as const)
  test(`what the protocol has and this server has not is said so: ${what}`, async () => {
    const error = await refused(400, '/v1/environments', body)
    assert.equal(error.details?.error_code, 'unsupported_feature')
  })

test('a task has the default environment, in its version, for good', async () => {
  const { id, session_id } = await server.order()
  const task = await ask<Task>('GET', `/v1/tasks/${id}`)
  assert.equal(task.environment?.version, 1)
  const session = await ask<Session>('GET', `/v1/sessions/${session_id}`)
  assert.equal(session.environment['name'], 'default')
})

test('an order may narrow its environment, in either form', async () => {
  const narrow = { networking: { type: 'none' }, limits: { memory_mib: 512, cpus: 0.5 } }
  const headers = { authorization: `Bearer ${plainKey}` }
  for (const [path, body] of [
    ['/v1/tasks', { ...order, sandbox: narrow }],
    ['/api/workflows', { ...workflowOrder, sandbox: narrow }],
  ] as const) {
    const answer = await server.send('POST', path, { body, headers })
    assert.equal(answer.status, 201, await answer.clone().text())
    const { id } = JSON.parse(await answer.text())
    const task = await ask<Task>('GET', `/v1/tasks/${id}`)
    const session = await ask<Session>('GET', `/v1/sessions/${task.session_id}`)
    assert.deepEqual(Reflect.get(Object(session.environment['config']), 'networking'), {
      type: 'none',
    })
    assert.equal(Reflect.get(Object(session.environment['limits']), 'memory_mib'), 512)
  }
})

test('an order may not widen it, field by field, unless its key may', async () => {
  const wide = {
    networking: { type: 'limited', allowed_hosts: ['evil.example'], allow_package_managers: true },
    limits: { memory_mib: 65_536, processes: 64 },
  }
  const error = await refused(400, '/v1/tasks', { ...order, sandbox: wide }, { plain: true })
  assert.deepEqual(error.details?.fields?.map(({ field }) => field).sort(), [
    'sandbox.limits.memory_mib',
    'sandbox.networking.allowed_hosts.0',
  ])
  const open = { networking: { type: 'unrestricted' } }
  await refused(400, '/v1/tasks', { ...order, sandbox: open }, { plain: true })
  await ask('POST', '/v1/tasks', { ...order, sandbox: wide })
})

test('a wider environment is named by keys that may, and a narrower one by all', async () => {
  const open = await ask('POST', '/v1/environments', network({ type: 'unrestricted' }))
  const closed = await ask('POST', '/v1/environments', network({ type: 'none' }))
  const error = await refused(400, '/v1/tasks', { ...order, environment: open.id }, { plain: true })
  assert.equal(error.details?.fields?.[0]?.field, 'environment.networking.type')
  await ask('POST', '/v1/tasks', { ...order, environment: open.id })
  const headers = { authorization: `Bearer ${plainKey}` }
  const body = { ...order, environment: { type: 'environment', id: closed.id, version: 1 } }
  assert.equal((await server.send('POST', '/v1/tasks', { body, headers })).status, 201)
})

test('an order on an unrestricted network opens no port beside those of the web', async () => {
  const open = await ask('POST', '/v1/environments', network({ type: 'unrestricted' }))
  const url = 'https://github.com/acme/web-only'
  await ask('POST', '/v1/repositories', { url, environment: open.id })
  const allowed_hosts = ['localhost:44551', 'a.example:25', 'a.example', 'a.example:80']
  const onto = (networking: object) => ({ ...order, repo_url: url, sandbox: { networking } })
  const wide = onto({ type: 'limited', allowed_hosts })
  const error = await refused(400, '/v1/tasks', wide, { plain: true })
  assert.deepEqual(error.details?.fields?.map(({ field }) => field).sort(), [
    'sandbox.networking.allowed_hosts.0',
    'sandbox.networking.allowed_hosts.1',
  ])
  assert.match(error.message, /port 80 or 443/)
  await ask('POST', '/v1/tasks', wide)
  const flags = { allow_package_managers: true, allow_mcp_servers: true }
  const narrow = onto({ type: 'limited', allowed_hosts: allowed_hosts.slice(2), ...flags })
  const headers = { authorization: `Bearer ${plainKey}` }
  const answer = await server.send('POST', '/v1/tasks', { body: narrow, headers })
  assert.equal(answer.status, 201, await answer.text())
})

test('a repository names the environment of its tasks, and orders narrow that', async () => {
  const open = await ask('POST', '/v1/environments', network({ type: 'unrestricted' }))
  const url = 'https://github.com/acme/wide'
  await ask('POST', '/v1/repositories', { url, environment: open.id })
  const headers = { authorization: `Bearer ${plainKey}` }
  const body = { ...order, repo_url: url }
  const answer = await server.send('POST', '/v1/tasks', { body, headers })
  const task: Task = JSON.parse(await answer.text())
  assert.equal(task.environment?.id, open.id)
  await ask('POST', `/v1/environments/${open.id}`, { limits: { cpus: 0.25 } })
  const kept = await ask<Task>('GET', `/v1/tasks/${task.id}`)
  assert.equal(kept.environment?.version, 1)
  await ask('POST', `/v1/environments/${open.id}/archive`, {})
  const error = await refused(400, '/v1/tasks', body, { plain: true })
  assert.equal(error.details?.fields?.[0]?.field, 'environment')
  await refused(400, '/v1/repositories', { url: `${url}r`, environment: open.id })
})

test('a key needs its own scope to change environments', async () => {
  await refused(403, '/v1/environments', strict, { plain: true })
})
