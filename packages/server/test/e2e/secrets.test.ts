/** What a scripted agent finds that searches its sandbox for the server's secrets, and for ways out. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { after, before, test } from 'node:test'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import { narrowUids } from '../../src/sandbox/limits.ts'
import { type Attempts, assertAttempts, attemptsProgram } from '../support/attempts.ts'
import { type BoundHost, startBoundHost } from '../support/bound-host.ts'
import { uidOf } from '../support/leaks.ts'
import { type Operator, startOperator } from '../support/operator.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { assertOnlyDecoys, searchProgram } from '../support/search.ts'
import type { ServerProcess } from '../support/server.ts'
import { makeWorld, sandboxProcessesOf, secrets, type World } from '../support/world.ts'

let postgres: TestPostgres
let operator: Operator
let host: BoundHost
let world: World
let server: ServerProcess
let databaseSocket: string
const uids: number[] = []
before(async () => {
  postgres = await startPostgres()
  operator = await startOperator([{ name: 'left', version: '1.0.0', files: {} }])
  host = await startBoundHost()
  world = await makeWorld([scenario])
  const databaseUrl = await postgres.createDatabase()
  databaseSocket = `${/host=(.*)$/.exec(decodeURIComponent(databaseUrl))?.[1]}/.s.PGSQL.5432`
  const password = encodeURIComponent(secrets.database)
  server = await world.start({
    ...operator.settings,
    GATEWAY_ALLOW_PRIVATE: `${operator.settings['GATEWAY_ALLOW_PRIVATE']},${host.address}`,
    CREDENTIALS_FILE: await credentialsFile(),
    TOKEN_OF_AN_OWNER: secrets.ownerToken,
    VALUE_OF_THE_VAULT: secrets.bound,
    DATABASE_URL: databaseUrl.replace('@', `:${password}@`),
    CANARY_OF_THE_ENVIRONMENT: secrets.environment,
  })
  const environments = await server.get<{ data: { id: string }[] }>('/v1/environments')
  await server.post(`/v1/environments/${environments.data[0]?.id}`, { secrets: ['VAULT'] })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
  await operator[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
/** A line of the key, as it stands in its file: what is searched for has no line ends. */
const known = { ...secrets, appKey: pem.split('\n')[12] ?? '' }

async function credentialsFile(): Promise<string> {
  const key = await host.write('key.pem', pem)
  const git = [
    { match: 'owner/*', token: { env: 'TOKEN_OF_AN_OWNER' } },
    { match: 'apps/*', app: { id: 1, private_key: { file: key } } },
  ]
  const rule = { value: { env: 'VALUE_OF_THE_VAULT' }, repositories: ['acme/*'] }
  const file = { git, secrets: { VAULT: { ...host.at, ...rule } } }
  return host.write('credentials.json', JSON.stringify(file))
}

const pushes = [
  'git -c user.name=a -c user.email=a@b commit -q --allow-empty -m direct',
  'branch=$(git symbolic-ref HEAD)',
  ...[
    'HEAD:$branch',
    'HEAD:refs/heads/main',
    '--delete main',
    'HEAD:refs/tags/v1',
    'HEAD:refs/heads/agent',
  ].map((refs) => `git push -q origin ${refs} 2>&1 | grep -c refs/heads/agent/`),
].join('\n')
/** The real tools, each with what the server adds to it on its way out. */
const tools = [
  'npm install --no-save --no-audit --no-fund left',
  'git clone -q "$(git remote get-url origin)" copy && ls copy',
  'git commit -q --allow-empty -m pushed && git push -q origin HEAD && git ls-remote origin | wc -l',
  'gh api "repos/{owner}/{repo}" -q .full_name',
  'curl -sS "$VAULT_URL" | tee .git/vault',
]
/** What they leave is searched, and they themselves, while they work. */
const searching = [
  `while :; do { ${tools.slice(2).join('; ')}; npm view left; } >/dev/null 2>&1; done &`,
  'node search.mjs; kill $!',
].join('\n')
const scenario = script(
  when(
    'Search everything',
    use('Bash', { command: tools.join('\n') }),
    use('Bash', { command: searching }),
    use('Bash', { command: 'id -u; grep -e ^NoNewPrivs -e ^CapEff /proc/self/status' }),
    say('Nothing found.', {
      until: async () => {
        uids.push(...sandboxProcessesOf(world.dataDir).flatMap((pid) => uidOf(pid) ?? []))
      },
    }),
  ),
  when('Find a way out', use('Bash', { command: 'bash attempts.sh' }), say('None.')),
  when('Push directly', use('Bash', { command: pushes }), say('Pushed.')),
)

/** What the tools of an agent answered that was ordered to do this, in a task that was completed. */
async function answers(repository: FakeRepository, instructions: string) {
  const { id } = await server.order({ repoUrl: repository.url, instructions })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  return { task, results: await server.toolResults(id), events: await server.events(id) }
}

test('a search of the sandbox finds every decoy, and no secret of the server in any form', async () => {
  const repository = await world.repository('search', {
    'search.mjs': searchProgram(known),
    '.gitignore': 'copy\nnode_modules\n',
  })
  const { task, results, events } = await answers(repository, 'Search everything.')
  const [worked = '', searched = '', privileges] = results
  assert.match(worked, /^added 1 package.*\n+search\.mjs\n3\nacme\/search\n\/ heard \[secret\]$/s)
  assertOnlyDecoys(searched)

  // The secrets were used, on the way out; and nothing that the server tells has them.
  assert.ok(world.model.requests.some(({ outcome }) => outcome === 'answered'))
  assert.ok(world.github.requests.some(({ authorization }) => authorization !== null))
  const told = JSON.stringify([events, task, await server.workflow(task.id), server.output])
  assert.ok(host.requests.some(({ headers }) => headers.authorization === secrets.bound))
  for (const secret of Object.values(known)) {
    const written = JSON.stringify(secret).slice(1, -1)
    assert.ok(
      !told.includes(written) && !told.includes(JSON.stringify(written).slice(1, -1)),
      secret,
    )
  }

  assert.equal(privileges, '1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1')
  assert.ok(uids.length > 0)
  const own = process.getuid?.() ?? 0
  for (const uid of uids) assert.ok(own === 0 ? uid > narrowUids.base : uid === own, String(uid))
})

test('what is listed is reached through the gateway, and nothing in any other way', async () => {
  let connections = 0
  await using onHost = createServer((socket) => {
    connections += 1
    socket.end('HTTP/1.1 200 OK\r\n\r\n')
  })
  await once(onHost.listen(0, '127.0.0.1'), 'listening')
  const { port } = onHost.address() as { port: number }
  // It is there for whoever is outside.
  await once(connect(port, '127.0.0.1').resume(), 'close')

  const attempts = attemptsAt({ port, registry: new URL(operator.registry.url) })
  const repository = await world.repository('ways', { 'attempts.sh': attemptsProgram(attempts) })
  const { results, events } = await answers(repository, 'Find a way out.')
  assertAttempts(results[0] ?? '', attempts)
  assert.equal(connections, 1)
  assert.ok(events.some(({ type }) => type === 'workspace.connection_denied'))
})

test('a push to anything but a branch of agents is refused, whatever the credentials can do', async () => {
  const repository = await world.repository('pushes', { 'a.txt': 'a\n' })
  const before = await repository.commits('main')
  const { task, results } = await answers(repository, 'Push directly.')
  // The first push is the one that is allowed; the others are told where they may go.
  assert.deepEqual(results[0]?.split('\n'), ['0', '1', '1', '1', '1'])
  assert.deepEqual(await repository.commits('main'), before)
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.deepEqual(
    (await repository.commits(branch)).map(({ subject }) => subject),
    ['direct', ...before.map(({ subject }) => subject)],
  )
})

/** Each kind of client has one attempt that succeeds, so that a refusal means something. */
function attemptsAt({ port, registry }: { port: number; registry: URL }): Attempts {
  const through = (client: string): Attempts => [
    [`${client} http://${registry.host}/left`, 'reached'],
    [`${client} http://127.0.0.1:${port}/`, 'refused'],
    [`${client} http://localhost:${port}/`, 'refused'],
    [`${client} http://169.254.169.254/`, 'refused'],
    [`${client} http://example.com/`, 'refused'],
  ]
  const directly = (client: string): Attempts => [
    [`${client} 127.0.0.1 $gateway_port`, 'reached'],
    [`${client} 127.0.0.1 ${port}`, 'refused'],
    [`${client} ${registry.hostname} ${registry.port}`, 'refused'],
    [`${client} 169.254.169.254 80`, 'refused'],
  ]
  const model = 'curl -sf -m 60 "$ANTHROPIC_BASE_URL'
  const body = '{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
  return [
    ...['curl_get', 'curl_connect', 'node_get'].flatMap(through),
    ...['bash_tcp', 'node_tcp'].flatMap(directly),
    ['node_unix "$(dirname "$HOME")/sock/gateway"', 'reached'],
    [`node_unix ${databaseSocket}`, 'refused'],
    ['getent hosts localhost', 'reached'],
    ['getent hosts example.com', 'refused'],
    [`${model}/v1/messages/count_tokens" -d "${body.replaceAll('"', '\\"')}"`, 'reached'],
    [`${model}/v1/files"`, 'refused'],
    ['grep -q lo: /proc/net/dev', 'reached'],
    ['tail -n +3 /proc/net/dev | grep -qv lo:', 'refused'],
    ['test -r /proc/sys/kernel/core_pattern', 'reached'],
    ['test -w /proc/sys/kernel/core_pattern', 'refused'],
  ]
}
