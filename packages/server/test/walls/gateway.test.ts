/**
 * The way out, tried from inside a sandbox: attacks of 2.5 of the sandbox reference on git and on
 * the allow-list. Every canary stands on loopback; no attack dials anything else.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { type FakeGitHub, type FakeRepository, startFakeGitHub } from '@longhaul/testing'
import { fixedCredential } from '../../src/gateway/credential.ts'
import type { GatewayPolicy } from '../../src/gateway/policy.ts'
import { AddressRefused, resolveJudged } from '../../src/gateway/resolve.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { assertUnread, attack, canary, nodeScript, plant } from './attack.ts'
import { asking, connecting, openWayOut, talkative } from './way-out.ts'

const network = { network: true }
const ownBranch = 'refs/heads/agent/x'
let bench: Bench
let github: FakeGitHub
let app: FakeRepository
before(async () => {
  bench = await openBench()
  github = await startFakeGitHub({ token: createHash('sha256').update(canary).digest('hex') })
  app = await github.createRepository({ owner: 'acme', name: 'app', files: { a: 'one\n' } })
  const secret = { files: { secret: canary }, private: true }
  await github.createRepository({ ...secret, owner: 'acme', name: 'other' })
  await github.createRepository({ ...secret, owner: 'beta', name: 'secret' })
  await plant('git', '-C', app.directory, 'branch', 'release', 'main')
})
after(async () => {
  await bench[Symbol.asyncDispose]()
  await github.close()
})

/** A way out to the repository, and a clone of it with a commit that is not yet pushed. */
async function clone(slot: number, git: Partial<GatewayPolicy['git']> = {}) {
  const wayOut = await openWayOut(bench, slot, {
    policy: {
      git: {
        origin: github.url,
        path: '/acme/app',
        credential: fixedCredential(github.token),
        pushRefs: [ownBranch],
        ...git,
      },
      allowPrivate: [{ host: '127.0.0.1', port: Number(new URL(github.url).port) }],
    },
  })
  const { sandbox } = wayOut
  const script = `set -e; git clone -q ${sandbox.gatewayUrl}/git/acme/app .; git commit -q --allow-empty -m ${slot}`
  await attack(sandbox, script, network)
  return wayOut
}

const tipOf = async (branch: string) => (await app.commits(branch))[0]?.sha

test('a push to main does not move it', async () => {
  await using wayOut = await clone(971)
  const tip = await tipOf('main')
  await attack(wayOut.sandbox, 'git push origin HEAD:main; git push -f origin HEAD:main', network)
  assert.equal(await tipOf('main'), tip, 'the canary branch was moved')
})

test('a push does not delete a branch of others', async () => {
  await using wayOut = await clone(972)
  await attack(wayOut.sandbox, 'git push origin :release', network)
  assert.ok((await app.branches()).includes('release'), 'the canary branch was deleted')
})

test('a push does not delete the branch of the task either', async () => {
  await using wayOut = await clone(973)
  await attack(wayOut.sandbox, `set -e; git push -q origin HEAD:${ownBranch}`, network)
  await attack(wayOut.sandbox, `git push origin :${ownBranch}`, network)
  assert.ok((await app.branches()).includes('agent/x'), 'the canary branch was deleted')
})

test('a push of the task’s branch takes no other branch along', async () => {
  await using wayOut = await clone(974)
  const tip = await tipOf('release')
  const specs = `+HEAD:${ownBranch} +HEAD:refs/heads/release`
  await attack(wayOut.sandbox, `git push origin ${specs}`, network)
  assert.equal(await tipOf('release'), tip, 'the canary branch was moved')
})

test('another repository is not fetched', async () => {
  await using wayOut = await clone(975)
  const url = `${wayOut.sandbox.gatewayUrl}/git/acme/other`
  assertUnread(await attack(wayOut.sandbox, `git clone -q ${url} other; cat other/secret`, network))
})

test('no spelling of a path leads to the repository of another owner', async () => {
  await using wayOut = await clone(976, { readAlso: ['/acme/*'] })
  const seen = github.requests.length
  const spellings = [
    '..\\beta\\secret',
    '..%2fbeta%2fsecret',
    'x/../../beta/secret',
    '%2e%2e',
    '..',
  ]
  const query = 'info/refs?service=git-upload-pack'
  const tries = spellings.map((path) =>
    asking(wayOut.sandbox, { path: `/git/acme/${path}/${query}` }),
  )
  const { stdout } = await attack(wayOut.sandbox, tries.join('\n'), network)
  const sent = github.requests.slice(seen).map(({ path }) => path)
  assert.deepEqual(sent, [], 'the canary repository was asked for')
  assert.equal(stdout.match(/^403$/gm)?.length, spellings.length)
})

test('the token that git is given outside is nowhere inside', async () => {
  await using wayOut = await clone(977)
  const encoded = Buffer.from(`x-access-token:${github.token}`).toString('base64')
  const { stdout } = await attack(
    wayOut.sandbox,
    `GIT_CURL_VERBOSE=1 GIT_TRACE_CURL=1 GIT_TRACE_REDACT=0 git fetch 2>&1
    grep -r "" ~ . /etc 2>/dev/null; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr "\\0" "\\n" | cat -v`,
    { ...network, outputBytesMax: 8_000_000 },
  )
  assert.match(stdout, /git-upload-pack/)
  const found = [github.token, encoded].filter((secret) => stdout.includes(secret))
  assert.deepEqual(found, [], 'the canary token was read')
  assert.ok(github.requests.some(({ authorization }) => authorization === `Basic ${encoded}`))
})

/** What each name resolves to; a name with two answers gives the second one ever after. */
const answers: Record<string, string[]> = {
  'listed.example': ['127.0.0.1'],
  'unlisted.example': ['127.0.0.1'],
  'listed.example.evil.example': ['127.0.0.1'],
  'rebound.example': ['127.0.0.1'],
  'mapped.example': ['::ffff:127.0.0.1'],
  'twice.example': ['127.0.0.2', '127.0.0.1'],
}

/** A way out to `allowed`, where the canary's port is at hand for any name that may be private. */
async function openList(
  slot: number,
  o: {
    port: number
    allowed: readonly string[]
    mayBePrivate: readonly string[]
    network?: GatewayPolicy['network']
  },
) {
  const left = structuredClone(answers)
  const at = (host: string) => ({ host, port: o.port })
  return openWayOut(bench, slot, {
    policy: {
      network: o.network ?? 'limited',
      connect: o.allowed.map(at),
      allowPrivate: o.mayBePrivate.map(at),
    },
    lookup: async (host) => {
      const [address = '', ...more] = left[host] ?? []
      if (more.length > 0) left[host] = more
      return [{ address, family: address.includes(':') ? 6 : 4 }]
    },
  })
}

/** Tries to reach the canary's port by CONNECT and by plain HTTP. */
async function tryHosts(
  slot: number,
  o: {
    allowed: readonly string[]
    mayBePrivate: readonly string[]
    tried: readonly string[]
    /** Whether the list is about another port than the canary's. */
    otherPort?: boolean
    network?: GatewayPolicy['network']
  },
): Promise<void> {
  await using server = await talkative({ port: 0, host: '127.0.0.1' })
  const { port } = server
  const listed = o.otherPort === true ? (port === 9 ? 10 : 9) : port
  await using wayOut = await openList(slot, { ...o, port: listed })
  const { sandbox } = wayOut
  const tries = o.tried.flatMap((host) => [
    connecting(`${host}:${port}`),
    asking(sandbox, { path: `http://${host}:${port}/` }),
  ])
  const result = await attack(sandbox, tries.join('\n'), network)
  assertUnread(result)
  assert.equal(result.stdout.match(/^(?:HTTP\/1.1 )?403\b/gm)?.length, tries.length, result.stdout)
}

test('a host that is not listed is not reached, though it may be private', async () => {
  const mayBePrivate = ['listed.example', 'unlisted.example']
  await tryHosts(978, { allowed: ['listed.example'], mayBePrivate, tried: ['unlisted.example'] })
})

test('a session without a network reaches no host, though some are listed', async () => {
  const tried = ['listed.example']
  await tryHosts(970, { allowed: tried, mayBePrivate: tried, tried, network: 'none' })
})

test('a host is not reached by a name that only begins like a listed one', async () => {
  const tried = ['listed.example.evil.example']
  await tryHosts(979, {
    allowed: ['listed.example'],
    mayBePrivate: ['listed.example', ...tried],
    tried,
  })
})

test('a listed host is not reached on another port', async () => {
  const allowed = ['listed.example']
  await tryHosts(980, { allowed, mayBePrivate: allowed, tried: allowed, otherPort: true })
})

test('an address is no host, in no spelling, even if it is listed', async () => {
  const tried = ['127.0.0.1', '2130706433', '0x7f000001', '0177.1']
  await tryHosts(981, { allowed: tried.concat('127.0.0.1'), mayBePrivate: [], tried })
})

test('a listed name that leads to a private address is not followed', async () => {
  const allowed = ['rebound.example']
  await tryHosts(982, { allowed, mayBePrivate: [], tried: allowed })
})

test('a listed name that leads to an IPv4 address in IPv6 form is not followed', async () => {
  const allowed = ['mapped.example']
  await tryHosts(983, { allowed, mayBePrivate: [], tried: allowed })
})

test('the address that was judged is dialled, whatever the name says next', async () => {
  await using server = await talkative({ port: 0, host: '127.0.0.1' })
  const { port } = server
  const allowed = ['twice.example']
  await using wayOut = await openList(984, { port, allowed, mayBePrivate: allowed })
  // Nobody listens at the first answer, 127.0.0.2.
  assertUnread(await attack(wayOut.sandbox, connecting(`twice.example:${port}`), network))
})

test('a tunnel to a listed host is no front for another one behind the same address', async () => {
  const heard: Buffer[] = []
  await using server = await talkative({ port: 0, host: '127.0.0.1' }, (chunk) => heard.push(chunk))
  const allowed = ['listed.example']
  const { port } = server
  await using wayOut = await openList(985, { port, allowed, mayBePrivate: allowed })
  const greet = (name: string) =>
    attack(wayOut.sandbox, greeting(wayOut.sandbox, port, name), network)
  await greet('hidden.example')
  assert.equal(heard.length, 0, 'the canary server got bytes for another host')
  await greet('listed.example')
  assert.notEqual(heard.length, 0)
})

/** A CONNECT to the listed host, and the beginning of TLS to another one in it, as shell words. */
function greeting(sandbox: Sandbox, port: number, servername: string): string {
  const authority = `listed.example:${port}`
  return nodeScript(
    sandbox,
    `require('node:http').request({ host: '127.0.0.1', port: 3128, method: 'CONNECT', path: '${authority}' })
      .on('connect', (answer, socket) => {
        socket.on('close', () => process.exit(0))
        require('node:tls').connect({ socket, servername: '${servername}' }).on('error', () => {})
      }).end()`,
  )
}

/** Where clouds tell credentials, and where a private network begins. */
const internal = [
  '169.254.169.254',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.0.1',
  '100.100.100.200',
  'fd00:ec2::254',
  'fe80::1',
  '64:ff9b::a9fe:a9fe',
  '2002:a9fe:a9fe::1',
]
test('no name leads to a metadata service or into a private network', async () => {
  for (const address of internal) {
    const dialled = await resolveJudged({
      host: 'listed.example',
      port: 443,
      allowPrivate: [],
      signal: new AbortController().signal,
      lookup: async () => [{ address, family: address.includes(':') ? 6 : 4 }],
    }).catch((error: unknown) => {
      if (error instanceof AddressRefused) return null
      throw error
    })
    assert.equal(dialled, null, `the canary address ${address} would be dialled`)
  }
})

test('no flood of decoys keeps a host that was reached out of the audit', async () => {
  let heard = ''
  await using sink = await talkative({ port: 0, host: '127.0.0.1' }, (chunk) => {
    heard += chunk
  })
  const { port } = sink
  const hosts = [...Array.from({ length: 230 }, (_, n) => `d${n}.decoy.example`), 'exfil.example']
  const connect = hosts.map((host) => ({ host, port }))
  const lookup = async () => [{ address: '127.0.0.1', family: 4 as const }]
  const wayOut = await openWayOut(bench, 938, {
    policy: { connect, allowPrivate: connect },
    lookup,
  })
  const script = `const hosts = ${JSON.stringify(hosts)}
    const go = (n) => { if (n === hosts.length) return
      const socket = require('node:net').connect(3128, '127.0.0.1')
      socket.on('error', () => undefined).on('close', () => go(n + 1))
      socket.write('CONNECT ' + hosts[n] + ':${port} HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')
      socket.once('data', () => socket.end('to ' + hosts[n])).resume() }
    go(0)`
  await attack(wayOut.sandbox, nodeScript(wayOut.sandbox, script), network)
  await wayOut[Symbol.asyncDispose]()
  const named = new Set(wayOut.gateway.decisions.map(({ host }) => host))
  const unnamed = hosts.filter((host) => heard.includes(`to ${host}`) && !named.has(host))
  assert.ok(heard.includes('to d0.decoy.example'))
  assert.deepEqual(unnamed, [], 'the canary was taken out to hosts that the audit does not name')
})
