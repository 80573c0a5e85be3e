import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { longhaul } from './support/longhaul.ts'
import { makeDirectory } from './support/postgres.ts'
import { ServerProcess } from './support/server.ts'
import { until } from './support/until.ts'
import { makeWorld } from './support/world.ts'

test('a bad setting stops the start with one sentence that names it, and not its value', async () => {
  await using directory = await makeDirectory()
  const end = await longhaul(['serve'], {
    DATA_DIR: directory.path,
    PORT: 'eighty',
    CALLBACK_SECRET: 'hunter2',
  })
  assert.equal(end.code, 1)
  assert.match(end.err, /^The setting PORT is not valid: expected a whole number from 0 to 65535\./)
  assert.match(end.err, /The setting CALLBACK_SECRET is not valid: expected `whsec_`/)
  assert.ok(!end.err.includes('hunter2') && !end.err.includes('    at '))
})

for (const [name, value] of [
  ['HOST', 'no such host'],
  ['DATABASE_URL', 'postgres://127.0.0.1:1/none'],
  ['DATA_DIR', '/proc/none'],
] as const) {
  test(`a ${name} that leads nowhere stops the start with one sentence that names it`, async () => {
    await using directory = await makeDirectory()
    const end = await longhaul(['serve'], { DATA_DIR: directory.path, PORT: '0', [name]: value })
    assert.equal(end.code, 1)
    assert.match(end.err, new RegExp(`^[^\\n]*${name}[^\\n]*\\n$`))
  })
}

for (const [args, settings, missing] of [
  [['work'], {}, /^`longhaul work` needs DATABASE_URL/],
  [['work'], { DATABASE_URL: 'postgres://127.0.0.1:1/none' }, /^`longhaul work` needs PUBLIC_URL/],
  [['serve'], { WORKER: 'false' }, /^WORKER=false needs DATABASE_URL/],
] as const) {
  test(`longhaul ${args.join(' ')} with ${JSON.stringify(settings)} says what it lacks`, async () => {
    await using directory = await makeDirectory()
    const end = await longhaul(args, { DATA_DIR: directory.path, PORT: '0', ...settings })
    assert.equal(end.code, 1)
    assert.match(end.err, missing)
    assert.equal(end.err.trim().split('\n').length, 1)
  })
}

test('the server mints the first key once; keys are made beside it, and all of them open its door', async () => {
  await using world = await makeWorld([])
  await using server = await world.start({ LONGHAUL_API_KEY: '' })
  await until('the key to be printed', () => server.output.includes('shown this once'))
  const minted = /shown this once: (lh_\S+)/.exec(server.output)?.[1] ?? ''
  const made = await longhaul(['keys', 'create', 'a bot'], { DATA_DIR: world.dataDir })
  assert.equal(made.code, 0, made.err)
  for (const key of [minted, made.out.trim()]) {
    assert.match(key, /^lh_[0-9a-z]{26}_[\w-]{43}$/)
    const headers = { authorization: `Bearer ${key}` }
    assert.equal((await server.request('/v1/tasks', { headers })).status, 200)
  }
  await server.stop()
  await using again = await world.start({ LONGHAUL_API_KEY: '' })
  assert.doesNotMatch(again.output, /shown this once/)
  const headers = { 'x-api-key': minted, authorization: '' }
  assert.equal((await again.request('/v1/tasks', { headers })).status, 200)
})

test('a key is made with the scopes that are asked for, and with no others', async () => {
  await using world = await makeWorld([])
  await using server = await world.start()
  const create = ['keys', 'create', 'a dashboard', '--scope']
  const bad = await longhaul([...create, 'tasks:all'], { DATA_DIR: world.dataDir })
  assert.equal(bad.code, 1)
  assert.match(
    bad.err,
    /'tasks:all' is invalid\. Allowed choices are tasks:read, tasks:write, .*\*\./,
  )
  const made = await longhaul([...create, 'tasks:read'], { DATA_DIR: world.dataDir })
  assert.equal(made.code, 0, made.err)
  const headers = { authorization: `Bearer ${made.out.trim()}` }
  assert.equal((await server.request('/v1/tasks', { headers })).status, 200)
  const refused = await server.request('/v1/tasks', { method: 'POST', body: '{}', headers })
  assert.equal(refused.status, 403)
  assert.match(await refused.text(), /it needs the scope tasks:write, and has tasks:read\./)
})

test('a second server on the same directory is refused with one sentence', async () => {
  await using world = await makeWorld([])
  await using _server = await world.start()
  await assert.rejects(
    ServerProcess.start({ DATA_DIR: world.dataDir }),
    /the server ended with 1: [A-Z][^\n]*\bserver\b[^\n]*\.$/,
  )
})

test('without a model key the server is ready, says so, and tasks say why they failed', async () => {
  await using world = await makeWorld([])
  const repository = await world.repository('sum', { 'a.txt': 'a\n' })
  await using server = await world.start({ ANTHROPIC_API_KEY: '' })
  const ready = await server.request('/readyz')
  assert.equal(ready.status, 200)
  assert.match(await ready.text(), /No model key is configured/)
  const { id } = await server.order({
    type: 'custom',
    repoUrl: repository.url,
    instructions: 'Anything.',
    priority: 'low',
  })
  const task = await server.ended(id)
  assert.equal(task.error?.reason, 'model_not_configured')
  assert.match(task.error?.next ?? '', /ANTHROPIC_API_KEY/)
})

test('a sandbox that this host cannot hold stops the start, with the fix', async () => {
  await using directory = await makeDirectory()
  const locked = join(directory.path, 'a'.repeat(80))
  const end = await longhaul(['serve'], { DATA_DIR: locked })
  assert.equal(end.code, 1)
  assert.match(end.err, /SANDBOX=none starts without walls/)
})
