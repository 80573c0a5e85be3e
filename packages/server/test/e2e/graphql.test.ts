/** gh's GraphQL from inside: with a token of the one repository it reads, with any other it is refused. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { makeDirectory } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import { makeWorld, secrets, type World } from '../support/world.ts'

const canary = 'canary-of-the-other-repository'
const listing = (name: string) =>
  `gh api graphql -f query='{ repository(owner: "acme", name: "${name}") { issues(first: 5) { nodes { title } } } }' 2>&1`
const writing = `gh api graphql -f query='mutation { addComment(input: { subjectId: "I_1", body: "x" }) { clientMutationId } }' 2>&1`
const scenario = script(
  when(
    'Look around',
    use('Bash', { command: 'gh issue list --json title -q ".[].title" 2>&1' }),
    use('Bash', { command: listing('app') }),
    use('Bash', { command: listing('other') }),
    use('Bash', { command: writing }),
    say('Looked.'),
  ),
)

let world: World
let server: ServerProcess
let directory: Awaited<ReturnType<typeof makeDirectory>>
before(async () => {
  directory = await makeDirectory()
  world = await makeWorld([scenario])
  const permissions = { contents: 'write', pull_requests: 'write', issues: 'write' } as const
  // It is installed for the other one as well: the token has to be of the task's own.
  const app = world.github.createApp({ owner: 'acme', permissions })
  const key = join(directory.path, 'key.pem')
  await writeFile(key, app.privateKey)
  const file = join(directory.path, 'credentials.json')
  const git = [{ match: 'tokens/*', token: { env: 'TOKEN_OF_TOKENS' } }]
  await writeFile(file, JSON.stringify({ git }))
  server = await world.start({
    ...{ GITHUB_TOKEN: '', GITHUB_APP_ID: app.id, GITHUB_APP_PRIVATE_KEY_FILE: key },
    ...{ CREDENTIALS_FILE: file, TOKEN_OF_TOKENS: secrets.github },
  })
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

async function lookAround(owner: string) {
  const files = { 'a.txt': 'a\n' }
  const repository = await world.github.createRepository({
    ...{ owner, name: 'app', files, private: true },
  })
  repository.talk.open({ title: 'It is broken' })
  const asked = world.github.requests.length
  const { id } = await server.order({
    ...{ type: 'analysis', repoUrl: repository.url, instructions: 'Look around.' },
  })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  const queries = world.github.requests.slice(asked).filter(({ path }) => path === '/api/graphql')
  // It is written down after the fact, in order, and what the agent does last is refused.
  let audit: Awaited<ReturnType<typeof server.audit>> = []
  await until('the audit to have it all', async () => {
    audit = await server.audit(id)
    return audit.some(({ verdict }) => verdict === 'denied')
  })
  const denied = audit.filter(({ verdict }) => verdict === 'denied')
  return { said: await server.toolResults(id), queries, denied }
}

test('with a GitHub App gh reads its repository by GraphQL, no other one, and writes nothing', async () => {
  const other = await world.github.createRepository({
    ...{ owner: 'acme', name: 'other', files: { 'a.txt': 'a\n' }, private: true },
  })
  other.talk.open({ title: canary })
  const { said, queries, denied } = await lookAround('acme')
  const [listed = '', own = '', others = '', written = ''] = said
  assert.equal(listed, 'It is broken')
  assert.match(own, /"title":"It is broken"/)
  assert.match(others, /Could not resolve to a Repository with the name 'acme\/other'/)
  assert.ok(!said.join().includes(canary))
  assert.match(written, /GraphQL is for reading here; what is written goes through the REST API\./)
  assert.equal(queries.length, 3, 'the mutation did not get to GitHub')
  const tokens = new Map(world.github.installationTokens().map((each) => [each.token, each]))
  for (const { authorization } of queries) {
    const token = tokens.get((authorization ?? '').replace('Bearer ', ''))
    assert.deepEqual([...(token?.repositories ?? [])], ['acme/app'])
  }
  assert.equal(denied.length, 1)
})

test('with a token of an account GraphQL is refused with the REST path, and GitHub is not asked', async () => {
  const { said, queries, denied } = await lookAround('tokens')
  for (const answer of said)
    assert.match(
      answer,
      /GraphQL cannot be kept to one repository with the server's credential; use the REST API: gh api repos\/tokens\/app\/issues/,
    )
  assert.equal(said.length, 4)
  assert.deepEqual(queries, [])
  assert.ok(denied.length > 0 && denied.every(({ route }) => route === 'github'))
})
