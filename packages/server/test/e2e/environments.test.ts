/** Where a task runs: what its sandbox reaches, takes and finds installed. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Environment } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { type Operator, startOperator } from '../support/operator.ts'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, type World } from '../support/world.ts'

const greeter = {
  name: 'greeter',
  version: '2.1.0',
  files: {
    'package.json': JSON.stringify({ bin: { greeter: 'cli.js' } }),
    'cli.js': '#!/usr/bin/env node\nconsole.log("greeted by the package")\n',
  },
}
const files = { 'a.txt': 'a\n' }

let world: World
let operator: Operator
let server: ServerProcess
before(async () => {
  operator = await startOperator([greeter])
  const { host } = new URL(operator.registry.url)
  const look = `curl -sS -m 60 -o /dev/null -w '%{http_code}' ${operator.registry.url}/greeter`
  world = await makeWorld([
    script(
      when('Look out', use('Bash', { command: look }), say('Looked.')),
      when(
        'Look elsewhere',
        use('Bash', {
          command: 'curl -sS -m 60 http://127.0.0.2:9/ ; curl -sS -m 60 https://10.0.0.1/',
        }),
        say('Looked.'),
      ),
      when(
        'Greet',
        use('Bash', {
          command: 'greeter; touch "$(dirname "$(command -v greeter)")/mine"; ulimit -n',
        }),
        say('Greeted.'),
      ),
    ),
  ])
  server = await world.start({ ...operator.settings, GATEWAY_ALLOW_PRIVATE: host })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await operator[Symbol.asyncDispose]()
})

let made = 0
async function finish(instructions: string, more: object) {
  made += 1
  const repository = await world.repository(`placed-${made}`, files)
  const order = { type: 'analysis', repoUrl: repository.url, instructions, ...more }
  const { id } = await server.order(order)
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  const denied = events.filter(({ type }) => type === 'workspace.connection_denied')
  return { id, task, denied, said: (await server.toolResults(id)).join('\n') }
}

function makeEnvironment(body: object): Promise<Environment> {
  return server.post('/v1/environments', { name: 'made', ...body })
}

test('the default environment reaches the registry, and an order may close it', async () => {
  const open = await finish('Look out.', {})
  assert.equal(open.task.status, 'completed', JSON.stringify(open.task.error))
  assert.match(open.said, /200/)
  const closed = await finish('Look out.', { sandbox: { networking: { type: 'none' } } })
  assert.equal(closed.task.status, 'completed', JSON.stringify(closed.task.error))
  assert.doesNotMatch(closed.said, /200/)
  assert.match(String(closed.denied[0]?.['why']), /environment default has no network/)
})

test('what is not allowed is named with the environment that would have to allow it', async () => {
  const { id } = await makeEnvironment({
    name: 'tight',
    config: {
      type: 'cloud',
      networking: { type: 'limited', allowed_hosts: ['files.example.com'] },
    },
  })
  const { denied, said } = await finish('Look out.', { environment: id })
  assert.doesNotMatch(said, /200/)
  assert.match(String(denied[0]?.['why']), /allow it in environment tight/)
})

test('a network without restrictions still leads to no private address', async () => {
  const { id } = await makeEnvironment({
    config: { type: 'cloud', networking: { type: 'unrestricted' } },
  })
  const { task, denied } = await finish('Look elsewhere.', { environment: id })
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.ok(denied.length >= 2, JSON.stringify(denied))
})

test('packages of the environment are installed once, found by all its tasks, and written by none', async () => {
  const { id } = await makeEnvironment({
    config: { type: 'cloud', packages: { npm: ['greeter@2.1.0'] } },
    limits: { open_files: 512 },
  })
  const asked = () => operator.registry.requests.filter(({ path }) => path.endsWith('.tgz')).length
  const before = asked()
  const both = await Promise.all([
    finish('Greet.', { environment: id }),
    finish('Greet.', { environment: id }),
  ])
  for (const { task, said } of both) {
    assert.equal(task.status, 'completed', JSON.stringify(task.error))
    assert.match(said, /greeted by the package/)
    assert.match(said, /Read-only file system/)
    assert.match(said, /^512$/m)
  }
  await finish('Greet.', { environment: id })
  assert.equal(asked() - before, 1)
})

test('packages that cannot be installed end the task, in npm’s words', async () => {
  const { id } = await makeEnvironment({
    config: { type: 'cloud', packages: { npm: ['no-such-package@1.0.0'] } },
  })
  const { task } = await finish('Greet.', { environment: id })
  assert.equal(task.reason, 'setup_failed')
  assert.match(task.error?.message ?? '', /no-such-package@1\.0\.0.*404/s)
})
