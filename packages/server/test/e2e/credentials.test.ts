/** Tasks with a GitHub App, with tokens for single owners, and with none. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type FakeApp, type FakeRepository, say, script, use, when } from '@longhaul/testing'
import { makeDirectory } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { brokenSum, makeWorld, mend, secrets, type World } from '../support/world.ts'

const hour = 60 * 60_000

let world: World
let server: ServerProcess
let app: FakeApp
let directory: Awaited<ReturnType<typeof makeDirectory>>
before(async () => {
  directory = await makeDirectory()
  world = await makeWorld([
    script(
      when(
        'Wait and mend',
        use('Bash', { command: 'git fetch -q origin && env | sort && cat "$GH_CONFIG_DIR"/*' }),
        use('Bash', { command: mend }, { until: async () => world.github.advance(2 * hour) }),
        use('Bash', {
          command:
            'git fetch -q origin && echo fetched; gh api "repos/{owner}/{repo}/pulls" -q length',
        }),
        say('Mended.'),
      ),
      when('Mend', use('Bash', { command: mend }), say('Mended.')),
    ),
  ])
  const permissions = { contents: 'write', pull_requests: 'write', issues: 'write' } as const
  app = world.github.createApp({ owner: 'acme', permissions })
  const key = join(directory.path, 'key.pem')
  const strange = join(directory.path, 'strange.pem')
  await writeFile(key, app.privateKey)
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(strange, pair.privateKey.export({ type: 'pkcs1', format: 'pem' }))
  const file = join(directory.path, 'credentials.json')
  const git = [
    { match: 'tokens/*', token: { env: 'TOKEN_OF_TOKENS' } },
    { match: 'open/*', none: true },
    { match: 'acme/strange', app: { id: app.id, private_key: { file: strange } } },
  ]
  await writeFile(file, JSON.stringify({ git }))
  server = await world.start({
    GITHUB_TOKEN: '',
    GITHUB_APP_ID: app.id,
    GITHUB_APP_PRIVATE_KEY_FILE: key,
    CREDENTIALS_FILE: file,
    TOKEN_OF_TOKENS: secrets.github,
  })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

async function repository(owner: string, name: string, isPrivate = true): Promise<FakeRepository> {
  return world.github.createRepository({ owner, name, files: brokenSum, private: isPrivate })
}

async function run(repoUrl: string, instructions: string) {
  const { id } = await server.order({ type: 'refactor', priority: 'medium', repoUrl, instructions })
  return server.ended(id)
}

test('a task of hours with a GitHub App clones, pushes and opens its pull request, and has no token inside', async () => {
  const app = await repository('acme', 'long')
  const before = world.github.installationTokens().length
  const task = await run(app.url, 'Wait and mend.')
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.equal(app.pullRequests.length, 1)
  assert.deepEqual(
    (await app.commits(task.result?.branch ?? '')).length,
    (await app.commits('main')).length + 1,
  )
  const tokens = world.github.installationTokens().slice(before)
  // One pair of them ended while the task went on.
  assert.ok(tokens.length >= 3, String(tokens.length))
  for (const { repositories } of tokens) assert.deepEqual([...repositories], ['acme/long'])
  const results = await server.toolResults(task.id)
  assert.equal(results[2], 'fetched\n0')
  const told = JSON.stringify([results, await server.events(task.id), task, server.output])
  for (const { token } of tokens) assert.ok(!told.includes(token))
  assert.ok(!told.includes('PRIVATE KEY') && !told.includes('ghs_'))
})

test('each owner has its own credential, and one without any is cloned as everybody may', async () => {
  const own = await repository('tokens', 'private')
  const seen = world.github.requests.length
  const task = await run(own.url, 'Mend it.')
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.equal(own.pullRequests.length, 1)
  const used = world.github.requests.slice(seen).map(({ authorization }) => authorization)
  const basic = `Basic ${Buffer.from(`x-access-token:${secrets.github}`).toString('base64')}`
  assert.deepEqual([...new Set(used)].sort(), [basic, `Bearer ${secrets.github}`].sort())

  const open = await world.github.createRepository({
    ...{ owner: 'open', name: 'source', files: brokenSum, openPush: true },
  })
  const since = world.github.requests.length
  const published = await run(open.url, 'Mend it.')
  assert.equal(published.status, 'completed', JSON.stringify(published.error))
  for (const { authorization } of world.github.requests.slice(since))
    assert.equal(authorization, null)
  assert.equal(open.pullRequests.length, 0)
})

test('a key that GitHub does not know ends the task with what GitHub says', async () => {
  const strange = await repository('acme', 'strange')
  const task = await run(strange.url, 'Mend it.')
  assert.equal(task.status, 'failed')
  assert.equal(task.error?.reason, 'repository_unreachable')
  assert.match(
    task.error?.message ?? '',
    /The GitHub App \d+ has no token for acme\/strange: GitHub answered 401: A JSON web token could not be decoded/,
  )
})

test('an app that may not push fails the task with GitHub’s own words', async () => {
  const weak = world.github.createApp({ owner: 'weak', permissions: { contents: 'read' } })
  const file = join(directory.path, 'weak.pem')
  await writeFile(file, weak.privateKey)
  const target = await repository('weak', 'target')
  const path = join(directory.path, 'weak.json')
  const entry = { match: 'weak/*', app: { id: weak.id, private_key: { file } } }
  await writeFile(path, JSON.stringify({ git: [entry] }))
  await server.stop()
  server = await world.start({ CREDENTIALS_FILE: path })
  const task = await run(target.url, 'Mend it.')
  assert.deepEqual([task.status, task.error?.reason], ['failed', 'push_rejected'])
  assert.match(task.error?.message ?? '', /Write access to repository not granted|403/)
})
