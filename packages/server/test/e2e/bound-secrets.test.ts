/** Secrets that tasks use without having them: which task may, where, and what it sees of them. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Environment } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { type BoundHost, startBoundHost } from '../support/bound-host.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  secrets,
  type World,
} from '../support/world.ts'

let host: BoundHost
let world: World
let server: ServerProcess
let environment: Environment
before(async () => {
  host = await startBoundHost()
  world = await makeWorld([
    script(
      when(
        'Ask the vault',
        use('Bash', { command: `${mend}; curl -sS -m 60 "\${VAULT_URL}v1/agent?a=1"` }),
        use('Bash', { command: 'env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline' }),
        say('Asked.'),
      ),
      when(
        'Look for the vault',
        use('Bash', {
          command:
            'echo "VAULT_URL is $VAULT_URL."; curl -sS -m 60 -w "%{http_code}" "$HTTP_PROXY/secret/VAULT/"',
        }),
        say('Looked.'),
      ),
      when('Say how to release', say('By its command.')),
    ),
  ])
  const served = ['acme/served', 'Acme/Deployed', 'acme/unnamed', 'acme/closed']
  const value = { env: 'VALUE_OF_THE_VAULT' }
  const file = await host.write(
    'credentials.json',
    JSON.stringify({
      secrets: {
        VAULT: { ...host.at, value, prefix: 'Bearer ', repositories: served },
        UNNAMED: { ...host.at, value, repositories: ['acme/*'] },
      },
    }),
  )
  server = await world.start({
    CREDENTIALS_FILE: file,
    VALUE_OF_THE_VAULT: secrets.bound,
    GATEWAY_ALLOW_PRIVATE: host.address,
  })
  environment = await server.post('/v1/environments', {
    name: 'vaults',
    config: { type: 'cloud', networking: { type: 'limited' } },
    secrets: ['VAULT', 'ELSEWHERE'],
  })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
})

async function run(name: string, instructions: string, more: object) {
  const repository = await world.repository(name, brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, instructions, ...more })
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  const denied = events.filter(({ type }) => type === 'workspace.connection_denied')
  return { id, task, denied, events, results: await server.toolResults(id) }
}

const asking = (who: string) => `curl -sSf -m 60 "\${VAULT_URL}${who}" | grep -q secret`

test('an agent and its checks get answers with the secret, which is nowhere inside', async () => {
  const { id, task, events, denied, results } = await run('served', 'Ask the vault.', {
    ...{ environment: environment.id, checks: [asking('check')] },
  })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(results[0], '/v1/agent?a=1 heard Bearer [secret]')
  assert.match(results[1] ?? '', /^VAULT_URL=http:\/\/127\.0\.0\.1:\d+\/secret\/VAULT\/$/m)
  assert.doesNotMatch(results[1] ?? '', /UNNAMED|ELSEWHERE/)
  assert.deepEqual(
    host.requests.map(({ path, headers }) => [path, headers.authorization]),
    ['/v1/agent?a=1', '/check'].map((path) => [path, `Bearer ${secrets.bound}`]),
  )
  assert.deepEqual(denied, [])
  const told = JSON.stringify([results, events, task, server.output])
  // The part of it that looks the same however often it is quoted.
  assert.ok(!told.includes(secrets.bound.split('"')[1] ?? ''))
  const audited = async () => (await server.audit(id)).filter(({ route }) => route === 'secret')
  await until('the audit has both', async () => (await audited()).length === 2)
  const entries = await audited()
  assert.deepEqual(
    entries.map(({ verdict, host: name, secret, path }) => [verdict, name, secret, path]),
    ['/v1/agent', '/check'].map((path) => ['allowed', '127.0.0.1', 'VAULT', path]),
  )
})

test('the commands of a deploy get answers as well', async () => {
  const before = host.requests.length
  const { task } = await run('deployed', 'Say how to release.', {
    ...{ type: 'deploy', environment: environment.id, commands: [asking('command')] },
  })
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.deepEqual(
    host.requests.slice(before).map(({ path }) => path),
    ['/command'],
  )
})

for (const [who, name, more] of [
  ['another repository', 'unserved', () => ({ environment: environment.id })],
  ['an environment that does not name it', 'unnamed', () => ({})],
  [
    'an order that closes the network',
    'closed',
    () => ({ environment: environment.id, sandbox: { networking: { type: 'none' } } }),
  ],
] as const) {
  test(`a task of ${who} has no such secret, and is told so`, async () => {
    const before = host.requests.length
    const { task, denied, results } = await run(name, 'Look for the vault.', {
      ...{ type: 'analysis', ...more() },
    })
    assert.equal(task.status, 'completed', JSON.stringify(task.error))
    assert.match(results[0] ?? '', /^VAULT_URL is \.\n.*no secret VAULT for this task.*404$/s)
    assert.equal(denied[0]?.['route'], 'secret')
    assert.equal(host.requests.length, before)
  })
}
