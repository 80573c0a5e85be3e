/** Debian's own gh against the fake GitHub, with the gateway between them. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import type { GatewayHooks, GitHubPolicy } from '../../src/gateway/policy.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { askRaw, startGateway, startUpstream, type TestGateway, until } from './harness.ts'

const token = 'canary"github/token>91ab'
const host = 'api.github.com'
let github: FakeGitHub
let app: FakeRepository
before(async () => {
  github = await startFakeGitHub({ token })
  app = await github.createRepository({
    ...{ owner: 'acme', name: 'app', files: { 'a.txt': 'a\n' }, private: true },
  })
  app.talk.open({ title: 'It is broken', body: 'Since Monday.', author: 'ada', labels: [] })
  await github.createRepository({ owner: 'acme', name: 'other', files: {}, private: true })
})
after(() => github.close())

function open(
  o: { policy?: Partial<GitHubPolicy>; mayComment?: GatewayHooks['mayComment'] } = {},
): Promise<TestGateway> {
  const { policy, ...hooks } = o
  const apiUrl = new URL(github.apiUrl)
  const named = { apiUrl, owner: 'acme', repo: 'app', graphql: false, scrubber: new Scrubber([]) }
  return startGateway({
    policy: { github: { ...named, credential: async () => token, ...policy } },
    ...hooks,
  })
}

/** Runs gh as the sandbox does: settings in a directory of their own, and no credential. */
async function gh(gateway: TestGateway, ...args: string[]) {
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-gh-'))
  const settings = `prompt: disabled\nhttp_unix_socket: ${gateway.socketPath}\n`
  await writeFile(join(directory, 'config.yml'), settings)
  const env = {
    ...{ PATH: '/usr/bin:/bin', HOME: directory, GH_CONFIG_DIR: directory },
    ...{ GH_TOKEN: 'placeholder', GH_REPO: 'acme/app', GH_NO_UPDATE_NOTIFIER: '1' },
  }
  const result = await new Promise<{ failed: boolean; stdout: string; stderr: string }>((resolve) =>
    execFile('gh', args, { env, cwd: directory, timeout: 110_000 }, (error, stdout, stderr) =>
      resolve({ failed: error !== null, stdout, stderr: `${stderr}${error ?? ''}` }),
    ),
  )
  await rm(directory, { recursive: true })
  return result
}

test('gh reads its repository with the credential that only the gateway has', async () => {
  await using gateway = await open()
  const { stdout, stderr } = await gh(
    gateway,
    'api',
    'repos/{owner}/{repo}/issues',
    '-q',
    '.[].title',
  )
  assert.equal(stdout, 'It is broken\n', stderr)
  assert.equal(github.requests.at(-1)?.authorization, `Bearer ${token}`)
  await until(() => gateway.decisions.length === 1)
  const [{ route, verdict, details } = {}] = gateway.decisions
  assert.deepEqual(
    { route, verdict, details },
    {
      ...{ route: 'github', verdict: 'allowed' },
      details: { method: 'GET', path: '/repos/acme/app/issues' },
    },
  )
})

test('gh is told in its own words what it may not do, and GitHub is not asked', async (t) => {
  await using gateway = await open()
  const asked = github.requests.length
  for (const [what, args, says] of [
    ['another repository', ['api', 'repos/acme/other'], /Only repos\/acme\/app may be reached/],
    ['the account', ['api', 'user'], /Only repos\/acme\/app/],
    ['a merge', ['api', '-X', 'PUT', 'repos/acme/app/pulls/1/merge'], /Only comments/],
    ['a deleted ref', ['api', '-X', 'DELETE', 'repos/acme/app/git/refs/heads/main'], /Only comm/],
    ['secrets', ['api', 'repos/acme/app/actions/secrets'], /actions\/secrets may not be read/],
    ['GraphQL', ['issue', 'list'], /use the REST API: gh api repos\/acme\/app\/issues/],
    ['traversal', ['api', 'repos/acme/app/..%2Fother'], /no path of this API/],
  ] as const)
    await t.test(what, async () => {
      const { failed, stderr } = await gh(gateway, ...args)
      assert.ok(failed)
      assert.match(stderr, says)
    })
  assert.equal(github.requests.length, asked)
  assert.equal(gateway.denials.length, 7)
})

test('gh comments where the owner lets it, and the owner hears of it', async () => {
  const asked: number[] = []
  await using gateway = await open({
    async mayComment(number) {
      asked.push(number)
      return number === 1 ? null : 'Not there.'
    },
  })
  const comment = (number: number) =>
    gh(gateway, 'api', `repos/acme/app/issues/${number}/comments`, '-f', 'body=Mended.')
  assert.equal((await comment(1)).failed, false)
  assert.match((await comment(2)).stderr, /Not there\./)
  assert.deepEqual(asked, [1, 2])
  assert.deepEqual(
    app.talk.comments.map(({ number, body }) => [number, body]),
    [[1, 'Mended.']],
  )
  const [made] = gateway.comments
  assert.deepEqual([gateway.comments.length, made?.number], [1, 1])
  assert.match(made?.url ?? '', /#issuecomment-/)
})

test('the credential is taken out of what comes back, and redirects and its refusal end here', async () => {
  await using upstream = await startUpstream((request, response) => {
    const link = '<http://x.example/repositories/7/issues?page=2>; rel="next"'
    if (request.url?.endsWith('/labels')) response.writeHead(301, { location: '/elsewhere' }).end()
    else if (request.url?.endsWith('/topics')) response.writeHead(401).end()
    else response.setHeader('link', link).end(`${request.headers.authorization} ?u=%3Ftoken%3DA1`)
  })
  await using gateway = await open({ policy: { apiUrl: new URL('/api/v3', upstream.url) } })
  const headers = {
    host,
    authorization: 'Bearer mine',
    cookie: 'c',
    'x-http-method-override': 'PUT',
  }
  const ask = (rest: string) => gateway.ask({ path: `/repos/acme/app${rest}`, headers })
  const answer = await ask('/issues?page=1')
  assert.equal(answer.text, 'Bearer [secret] ?u=%3Ftoken%3D[secret]')
  const next = '<https://api.github.com/repos/acme/app/issues?page=2>; rel="next"'
  assert.equal(answer.headers['link'], next)
  const [seen] = upstream.requests
  assert.equal(seen?.path, '/api/v3/repos/acme/app/issues?page=1')
  assert.equal(seen?.headers['x-http-method-override'] ?? seen?.headers.cookie, undefined)
  assert.match((await ask('/labels')).text, /redirects are not followed/)
  assert.match((await ask('/topics')).text, /does not accept the credential/)
})

test('GraphQL reads with a credential of this one repository, and never writes', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('{"data":{}}'))
  const apiUrl = new URL('/api/v3', upstream.url)
  await using gateway = await open({ policy: { apiUrl, graphql: true } })
  const ask = (body: object | string) =>
    gateway.ask({
      ...{ path: '/graphql', headers: { host } },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  assert.equal(
    (await ask({ query: 'query { viewer { login } }', variables: {}, x: 1 })).status,
    200,
  )
  for (const body of [
    { query: 'mutation { mergePullRequest(input: {}) { clientMutationId } }' },
    { query: '# query\n query A { a } mutation B { b }', operationName: 'B' },
    { query: '{ repository(owner: "acme", name: "app") { harmless: tempCloneToken } }' },
    [{ query: 'query { a }' }],
    '{"query":"query { a }","query":"mutation { b }"}',
    'query',
  ])
    assert.equal((await ask(body)).status, 403, JSON.stringify(body))
  assert.deepEqual(
    upstream.requests.map(({ path, body }) => [path, JSON.parse(body)]),
    [['/api/graphql', { query: 'query { viewer { login } }', variables: {} }]],
  )
})

test('no trick with the host or the form of the URL leads past the rules', async () => {
  await using gateway = await open()
  const asked = github.requests.length
  const raw = (line: string, ...headers: string[]) =>
    askRaw(gateway.socketPath, `${[line, ...headers, 'connection: close'].join('\r\n')}\r\n\r\n`)
  const path = '/repos/acme/app/issues'
  for (const attempt of [
    raw(`GET http://${host}${path} HTTP/1.1`, `host: ${host}`),
    raw(`GET ${path} HTTP/1.1`, 'host: api.github.com.evil.example'),
    raw(`GET ${path} HTTP/1.1`, 'host: evil.example', `x-forwarded-host: ${host}`),
    raw(`CONNECT ${host}:443 HTTP/1.1`, `host: ${host}`),
    raw(`GET /git/..${path} HTTP/1.1`, `host: ${host}`),
  ])
    assert.match(await attempt, /^HTTP\/1.1 40[03] /)
  assert.equal(github.requests.length, asked)
})

test('a session without a repository on GitHub has none of its API', async () => {
  await using gateway = await startGateway()
  const answer = await gateway.ask({ path: '/repos/acme/app', headers: { host } })
  assert.equal(answer.status, 403)
  assert.match(JSON.parse(answer.text).message, /no repository on GitHub/)
})
