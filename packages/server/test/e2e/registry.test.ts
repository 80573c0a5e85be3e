/** A repository whose packages come from a registry on the operator's own network. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { startOperator } from '../support/operator.ts'
import { assertOnlyDecoys, searchProgram } from '../support/search.ts'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, makeWorld, secrets } from '../support/world.ts'

const scenario = script(
  when(
    'Search',
    use('Bash', { command: 'node search.mjs' }),
    use('Bash', { command: 'echo "exports.greeting += \'!\'" >> greet.js' }),
    say('It greets louder now.'),
  ),
  when('Carry on', use('Bash', { command: 'ls node_modules' }), say('Nothing is installed.')),
)
const left = {
  name: '@acme/left',
  version: '1.2.3',
  files: { 'index.js': "exports.greeting = 'hello from the registry'\n" },
}
const manifest = {
  name: 'greeter',
  version: '1.0.0',
  scripts: { test: 'node -e "console.log(require(\'./greet.js\').greeting)"' },
  dependencies: { '@acme/left': '^1.0.0' },
}
const files = {
  'package.json': JSON.stringify(manifest),
  'greet.js': "exports.greeting = require('@acme/left').greeting\n",
  '.gitignore': 'node_modules\n',
}

test('npm ci installs from the registry of the host through the gateway, and without its token', async () => {
  await using operator = await startOperator([left])
  const { registry } = operator
  const lock = await operator.lockOf(manifest)
  const resolved = `${registry.url}/@acme/left/-/left-1.2.3.tgz`
  assert.ok(lock.includes(`"resolved": "${resolved}"`), lock)
  // The operator's own npm does send the token: the registry would notice one.
  const bearer = `Bearer ${secrets.npm}`
  assert.ok(registry.requests.every(({ authorization }) => authorization === bearer))
  const asked = registry.requests.length
  assert.ok(asked > 0)

  await using world = await makeWorld([scenario])
  const repository = await world.repository('greeter', {
    ...files,
    'package-lock.json': lock,
    'search.mjs': searchProgram(secrets),
  })
  await using server = await world.start(operator.settings)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Search.' })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  const events = await server.events(id)
  assertWholeLog(events)

  const cloned = events.find(({ type }) => type === 'workspace.cloned')
  assert.equal(cloned?.['detected_setup'], 'npm ci')
  const setUp = events.find(({ type }) => type === 'workspace.setup_finished')
  assert.deepEqual([setUp?.['commands'], setUp?.['failure']], [['npm ci'], null])
  assert.match(await server.artifact(id, 'setup.log'), /added 1 package/)
  assert.equal(task.result?.checks.outcome, 'passed')
  assert.match(await server.artifact(id, 'checks-1.log'), /hello from the registry!/)

  const inside = registry.requests.slice(asked)
  assert.ok(inside.some(({ path }) => path === '@acme/left/-/left-1.2.3.tgz'))
  assert.ok(inside.every(({ authorization }) => authorization === null))
  const [found] = await server.toolResults(id)
  assertOnlyDecoys(found ?? '')
  assert.ok(!events.some(({ type }) => type === 'workspace.connection_denied'))
  await assertAudited(server, { id, registry: new URL(registry.url) })
})

/** Every way out that the task took is in the audit, with what went through it. */
async function assertAudited(server: ServerApi, { id, registry }: { id: string; registry: URL }) {
  const pushed = (entry: Readonly<Record<string, unknown>>) => entry['kind'] === 'push'
  await until('the audit has the push', async () => (await server.audit(id)).some(pushed))
  const entries = await server.audit(id)
  assert.ok(entries.every(({ verdict }) => verdict === 'allowed'))
  const from = entries.filter(({ host }) => host === registry.hostname)
  assert.ok(from.some(({ bytes_in }) => Number(bytes_in) > 100))
  const model = entries.filter(({ route }) => route === 'anthropic')
  assert.ok(
    model.some(({ output_tokens, cost_usd }) => Number(output_tokens) * Number(cost_usd) > 0),
  )
  assert.match(String(entries.find(pushed)?.['refs']), /^refs\/heads\/agent\/\S+ [0-9a-f]{40}$/)
}

test('a registry on a private address that the operator did not list is refused, and the agent is told', async () => {
  await using operator = await startOperator([left])
  const { registry } = operator
  const lock = await operator.lockOf(manifest)
  const asked = registry.requests.length
  await using world = await makeWorld([scenario])
  const repository = await world.repository('greeter', { ...files, 'package-lock.json': lock })
  await using server = await world.start({ ...operator.settings, GATEWAY_ALLOW_PRIVATE: '' })
  const order = { type: 'analysis', instructions: 'Carry on.' }
  const { id } = await server.order({ ...order, repoUrl: repository.url })
  assert.equal((await server.ended(id)).status, 'completed')
  const events = await server.events(id)
  const { hostname, port } = new URL(registry.url)
  const denied = events.find(({ type }) => type === 'workspace.connection_denied')
  assert.deepEqual([denied?.['host'], denied?.['port']], [hostname, Number(port)])
  assert.match(String(denied?.['why']), /GATEWAY_ALLOW_PRIVATE may list 127\.0\.0\.2:/)
  await until('the audit has the denial', async () =>
    (await server.audit(id)).some(({ verdict, host }) => verdict === 'denied' && host === hostname),
  )
  const setUp = events.find(({ type }) => type === 'workspace.setup_finished')
  assert.equal(Reflect.get(Object(setUp?.['failure']), 'command'), 'npm ci')
  const [told] = world.model.requests.map(({ lastUserText }) => lastUserText)
  assert.match(told ?? '', /npm ci/)
  assert.equal(registry.requests.length, asked)
})
