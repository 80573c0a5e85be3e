/** What a gateway tells its owner about everything that was asked of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { Decisions } from '../../src/gateway/decisions.ts'
import type { GatewayHooks } from '../../src/gateway/policy.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { askRaw, startGateway, startUpstream, type TestGateway, until } from './harness.ts'

const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
const connectTo = (authority: string): string => `CONNECT ${authority} HTTP/1.1\r\nhost: x\r\n\r\n`

test('every request is told once, with its verdict and its bytes both ways', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('y'.repeat(5000)))
  const target = { host: 'files.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  await gateway.ask({ path: `http://files.example:${upstream.port}/`, body: 'x'.repeat(3000) })
  await askRaw(gateway.socketPath, connectTo('evil.example:443'))
  await gateway.ask({ path: '/unknown' })
  await gateway.ask({ path: '/git/acme/app/info/refs?service=git-upload-pack' })
  await gateway.ask({ path: '/anthropic/v1/messages', body: '{}' })
  await gateway.ask({ path: '/mcp/none' })
  await until(() => gateway.decisions.length === 6)
  assert.deepEqual(
    gateway.decisions.map(({ route, host, verdict, count }) => [route, host, verdict, count]),
    [
      ['http', 'files.example', 'allowed', 1],
      ['connect', 'evil.example', 'denied', 1],
      ['gateway', '', 'denied', 1],
      ['git', 'git', 'denied', 1],
      ['anthropic', 'model', 'denied', 1],
      ['mcp', 'mcp', 'denied', 1],
    ],
  )
  const { bytes_in: received = 0, bytes_out: sent = 0 } = gateway.decisions[0]?.sums ?? {}
  assert.ok(received > 5000 && received < 6000, `${received}`)
  assert.ok(sent > 3000 && sent < 4000, `${sent}`)
})

test('a tunnel is told when it is over, with what went through it', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('y'.repeat(9000)))
  const target = { host: 'files.example', port: upstream.port }
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    lookup,
  })
  const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  await askRaw(gateway.socketPath, connectTo(`files.example:${upstream.port}`) + request)
  await until(() => gateway.decisions.length === 1)
  const [decision] = gateway.decisions
  assert.equal(decision?.sums['bytes_out'], request.length)
  assert.ok((decision?.sums['bytes_in'] ?? 0) > 9000)
})

test('of a flood of denials a bounded number is told, and the counts add up', async () => {
  const clock = new ManualClock()
  await using gateway = await startGateway({ clock })
  for (let n = 0; n < 300; n += 1) {
    await askRaw(gateway.socketPath, connectTo('evil.example:443'))
    await askRaw(gateway.socketPath, connectTo(`evil-${n}.example:443`))
  }
  assert.ok(gateway.denials.length <= 61, `${gateway.denials.length}`)
  clock.advance(60_000)
  const counted = (host: string) =>
    gateway.denials.filter((each) => each.host === host).map(({ count }) => count)
  assert.deepEqual(counted('evil.example'), [1, 299])
  assert.equal(gateway.denials.length, 62)
  const sum = (of: readonly { count: number }[]) => of.reduce((n, { count }) => n + count, 0)
  assert.equal(sum(gateway.denials), 600)
  assert.equal(sum(gateway.decisions), 600)
  await askRaw(gateway.socketPath, connectTo('evil.example:443'))
  assert.deepEqual(counted('evil.example'), [1, 299, 1])
})

test('what a loop gathered is told when the gateway closes', async () => {
  const { decisions } = await (async () => {
    await using gateway = await startGateway()
    for (let n = 0; n < 5; n += 1) await askRaw(gateway.socketPath, connectTo('evil.example:443'))
    return gateway
  })()
  assert.deepEqual(
    decisions.map(({ count }) => count),
    [1, 4],
  )
})

test('nothing is let out while the audit cannot be written', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  const target = { host: 'files.example', port: upstream.port }
  let behind = true
  await using gateway = await startGateway({
    policy: { connect: [target], allowPrivate: [target] },
    isAuditBehind: () => behind,
    lookup,
  })
  const path = `http://files.example:${upstream.port}/`
  const answer = await gateway.ask({ path })
  assert.equal(answer.status, 503)
  assert.match(answer.text, /audit cannot be written/)
  const tunnel = await askRaw(gateway.socketPath, connectTo(`files.example:${upstream.port}`))
  assert.match(tunnel, /^HTTP\/1.1 503 /)
  assert.equal(upstream.requests.length, 0)
  behind = false
  assert.equal((await gateway.ask({ path })).status, 200)
})

test('what is open and what was told in a minute are 200 ways together, and the next minute has room', () => {
  const clock = new ManualClock()
  const hooks = { onDecision: () => undefined, onDenied: () => undefined }
  using decisions = new Decisions({ hooks: hooks as unknown as GatewayHooks, clock })
  const goes = (way: string) => {
    assert.ok(decisions.enters(way), way)
    decisions.leaves(way)
  }
  for (let n = 0; n < 150; n += 1) assert.ok(decisions.enters(`open-${n}`))
  for (let n = 0; n < 50; n += 1) goes(`gone-${n}`)
  assert.equal(decisions.enters('one more'), false)
  goes('gone-7')
  assert.ok(decisions.enters('open-7'))
  decisions.leaves('open-7')
  decisions.leaves('open-8')
  assert.equal(decisions.enters('one more'), false)
  const none = { sums: {}, count: 1, details: {}, isWayOut: false }
  decisions.record({
    ...{ ...none, route: 'connect', host: 'a', port: 1, verdict: 'allowed', why: null },
  })
  clock.advance(60_000)
  for (let n = 0; n < 51; n += 1) goes(`later-${n}`)
  assert.equal(decisions.enters('later-51'), false)
})

test('whatever was let go is named, and one of the 200 ways of its minute, also if it was refused then', async () => {
  await using upstream = await startUpstream(() => undefined)
  const { port } = upstream
  const hosts = Array.from({ length: 201 }, (_, n) => `h${n}.example`)
  const connect = hosts.map((host) => ({ host, port }))
  await using gateway = await startGateway({
    clock: new ManualClock(),
    policy: { connect, allowPrivate: connect.filter(({ host }) => host < 'h15') },
    lookup: async (host) => {
      if (host < 'h2') return await lookup()
      throw new Error('no such name')
    },
  })
  const reach = (host: string, sent = '') =>
    askRaw(gateway.socketPath, `${connectTo(`${host}:${port}`)}${sent}`)
  for (let n = 0; n < 100; n += 1) await reach(`decoy-${n}.example`)
  const noTls = '\x16\x03\x01\x00\x04\x02\x00\x00\x00'
  for (const host of hosts.slice(0, 200)) await reach(host, noTls)
  await until(() => gateway.decisions.length >= 260)
  const named = gateway.decisions.filter(({ host }) => hosts.includes(host))
  assert.deepEqual(new Set(named.map(({ host }) => host)), new Set(hosts.slice(0, 200)))
  const whys = ['not in the form of TLS', 'cannot be resolved', 'may not be reached']
  for (const why of whys)
    assert.ok(named.filter((each) => each.why?.includes(why)).length > 50, why)
  assert.match(await reach('h200.example'), /^HTTP\/1.1 429 /)
  await reach('h7.example', noTls)
  assert.equal(gateway.decisions.length, 260, 'an equal one is counted, not told again')
})

/** What was recorded of a session that also has a repository, on a host that answers everything. */
async function startWithRepository(clock: ManualClock) {
  const upstream = await startUpstream((_request, response) => response.end('{}'))
  const own = { host: '127.0.0.1', port: upstream.port }
  const credential = fixedCredential('token-of-the-repository')
  const gateway = await startGateway({
    clock,
    policy: {
      git: { origin: upstream.url.origin, path: '/acme/app', credential, pushRefs: [branch] },
      github: {
        ...{ apiUrl: upstream.url, owner: 'acme', repo: 'app', credential, graphql: false },
        scrubber: new Scrubber([]),
      },
      allowPrivate: [own],
    },
  })
  const push = (ref: string) =>
    gateway.ask({
      path: '/git/acme/app/git-receive-pack',
      body: `${pktLine(`${zero} ${commit} ${ref}\0 report-status\n`)}0000`,
    })
  return {
    gateway,
    push,
    api: (path: string, method = 'GET') =>
      gateway.ask({ path, method, headers: { host: 'api.github.com' } }),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}
const branch = 'refs/heads/agent/x'
const zero = '0'.repeat(40)
const commit = 'c'.repeat(40)
const pktLine = (text: string): string =>
  (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text

test('a flood of denials hides no push, no write to GitHub, no other repository and no metadata', async () => {
  await using session = await startWithRepository(new ManualClock())
  const { gateway, push, api } = session
  for (let n = 0; n < 70; n += 1) {
    await askRaw(gateway.socketPath, connectTo(`h${n}.example:80`))
    await askRaw(gateway.socketPath, connectTo(`10.0.0.1:${n + 1}`))
    await gateway.ask({ path: `/git/acme/app/x${n}` })
    await api(`/x${n}`)
  }
  await push('refs/heads/main')
  await push('refs/heads/main-2')
  await gateway.ask({ path: '/git/acme/vault/info/refs?service=git-receive-pack' })
  await api('/repos/acme/vault/issues', 'POST')
  await askRaw(gateway.socketPath, connectTo('169.254.169.254:80'))
  await askRaw(gateway.socketPath, connectTo('metadata.google.internal:80'))
  await askRaw(gateway.socketPath, connectTo('10.9.9.9:22'))
  await gateway.ask({ path: 'http://[::ffff:169.254.169.254]/' })
  const last = gateway.decisions.slice(-8)
  assert.deepEqual(
    last.map(({ host, details }) => details['refs'] ?? details['asked'] ?? host),
    [
      [`refs/heads/main ${commit}`],
      [`refs/heads/main-2 ${commit}`],
      'GET /git/acme/vault/info/refs?service=git-receive-pack',
      'POST /repos/acme/vault/issues',
      '169.254.169.254',
      'metadata.google.internal',
      '10.9.9.9',
      '::ffff:a9fe:a9fe',
    ],
  )
  assert.ok(last.every(({ verdict, count }) => verdict === 'denied' && count === 1))
})

test('a flood of reads hides no push, and reads that differ by their query are one', async () => {
  const clock = new ManualClock()
  await using session = await startWithRepository(clock)
  const { gateway, push, api } = session
  for (let n = 0; n < 201; n += 1) await api(`/repos/acme/app/issues?page=${n}`)
  for (let n = 0; n < 250; n += 1) await api(`/repos/acme/app/issues/${n}`)
  await push(branch)
  await until(() => gateway.decisions.some(({ route }) => route === 'git'))
  const pushes = gateway.decisions.filter(({ route }) => route === 'git')
  assert.deepEqual(
    pushes.map(({ verdict, host, details }) => [verdict, host, details['refs']]),
    [['allowed', '127.0.0.1', [`${branch} ${commit}`]]],
  )
  clock.advance(60_000)
  const issues = gateway.decisions.filter(({ details }) =>
    /issues(\?|$)/.test(String(details['path'])),
  )
  assert.equal(issues.length, 31)
  assert.equal(issues.at(-1)?.details['path'], '/repos/acme/app/issues')
  assert.deepEqual(
    [issues.at(-1)?.count, issues.at(-1)?.details['examples']],
    [171, [30, 31, 32, 33, 34].map((n) => `${own(gateway)} GET /repos/acme/app/issues?page=${n}`)],
  )
  const rest = gateway.decisions.filter(({ host }) => host === '*')
  assert.deepEqual(
    rest.map(({ route, verdict, count, details }) => [
      ...[route, verdict, count, (details['hidden'] as string[]).length, details['hidden_more']],
      (details['hidden'] as string[])[0],
    ]),
    [['github', 'allowed', 51, 50, 1, `${own(gateway)} GET /repos/acme/app/issues/199`]],
  )
})
const own = ({ decisions: [first] }: TestGateway): string => `${first?.host}:${first?.port}`

test('what stands for the rest says how many they are, and which', async () => {
  const clock = new ManualClock()
  await using gateway = await startGateway({ clock })
  for (let n = 0; n < 130; n += 1)
    await askRaw(gateway.socketPath, connectTo(`evil-${n}.example:443`))
  clock.advance(60_000)
  const rest = gateway.decisions.at(-1)
  assert.deepEqual([rest?.host, rest?.port, rest?.count], ['*', 0, 70])
  assert.deepEqual(
    [rest?.details['hidden'], rest?.details['hidden_more']],
    [Array.from({ length: 50 }, (_, n) => `evil-${n + 60}.example:443`), 20],
  )
  const why = /70 more, such as evil-60\.example:443, .*evil-64\.example:443\.$/
  assert.match(rest?.why ?? '', why)
  assert.match(gateway.denials.at(-1)?.why ?? '', why)
})

test('what is not HTTP is told with its first line, once each, and a flood of it is bounded', async () => {
  const clock = new ManualClock()
  await using gateway = await startGateway({ clock })
  const broken = [
    'CONNECT \u00c3(\u00ff:443 HTTP/1.1\r\nx: y\r\n\r\n',
    'GET /\u0001 HTTP/1.1\r\n\r\n',
  ]
  for (const each of broken) assert.match(await askRaw(gateway.socketPath, each), / 400 /)
  assert.deepEqual(
    gateway.decisions.map(({ route, host, port, verdict, why, count, details: { asked } }) => [
      ...[route, host, port, verdict, why, count, asked],
    ]),
    [
      ['gateway', '', 0, 'denied', 'That is not HTTP.', 1, 'CONNECT ??(??:443 HTTP/1.1'],
      ['gateway', '', 0, 'denied', 'That is not HTTP.', 1, 'GET /? HTTP/1.1'],
    ],
  )
  assert.match(String(gateway.decisions[0]?.details['error']), /^HPE_/)
  for (let n = 0; n < 100; n += 1) await askRaw(gateway.socketPath, `x${n}\r\n\r\n`)
  assert.equal(gateway.decisions.length, 60)
  clock.advance(60_000)
  assert.deepEqual(
    gateway.decisions.slice(60).map(({ host, count }) => [host, count]),
    [['*', 42]],
  )
})

test('whatever is tried in a minute, what is told of it stays within the bound of docs/audit.md', () => {
  const clock = new ManualClock()
  const told = { decisions: 0, denials: 0 }
  const hooks = {
    onDecision: () => (told.decisions += 1),
    onDenied: () => (told.denials += 1),
  }
  using decisions = new Decisions({ hooks: hooks as unknown as GatewayHooks, clock })
  const routes = [
    'connect',
    'http',
    'git',
    'anthropic',
    'github',
    'mcp',
    'secret',
    'gateway',
  ] as const
  const hosts = ['a.example', '169.254.169.254', '10.0.0.1'] as const
  for (let n = 0; n < 200_000; n += 1) {
    const asked = n % 7 < 4 ? `GET /${n % 1009}` : `POST /${n % 1009}/git-receive-pack`
    decisions.record({
      ...{ route: routes[n % 8] ?? 'git', host: hosts[n % 3] ?? '', port: 1, sums: {}, count: 1 },
      ...{ verdict: n % 5 < 2 ? 'allowed' : 'denied', why: n % 5 < 2 ? null : 'No.' },
      ...{ isWayOut: n % 11 > 0, details: { asked } },
    })
  }
  for (let n = 0; n < 400; n += 1) {
    const host = `h${n % 200}.example`
    const denied = { route: 'connect', host, port: 1, verdict: 'denied', why: 'No.' } as const
    decisions.record({ ...denied, sums: {}, count: 1, isWayOut: true, details: {} }, `to ${host}`)
  }
  clock.advance(60_000)
  assert.ok(told.decisions > 5_000 && told.decisions <= 10_000, `${told.decisions}`)
  assert.ok(told.denials > 1_000 && told.denials <= 3_400, `${told.denials}`)
})
