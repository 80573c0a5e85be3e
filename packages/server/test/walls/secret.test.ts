/** Secrets that are bound to a host, tried from inside a sandbox by whoever wants more of them. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import type { EnvironmentContent } from '@longhaul/client/contract'
import { loadConfig } from '../../src/config.ts'
import { type BoundSecret, secretMethods } from '../../src/credentials-file/credentials.ts'
import { secretsFor } from '../../src/runner/secrets.ts'
import type { ExecResult, Sandbox } from '../../src/sandbox/driver.ts'
import { defaultEnvironment } from '../../src/tasks/seed-environment.ts'
import { startUpstream } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { authority, certified } from '../support/tls.ts'
import { assertUnread, attack, canary } from './attack.ts'
import { asking, openWayOut } from './way-out.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** Runs an attack on a secret; gives what it printed, and what was sent. */
async function attackHost(
  slot: number,
  o: {
    /** What the host answers. */
    answer: (request: IncomingMessage, response: ServerResponse) => unknown
    rule?: Partial<BoundSecret>
    /** What of it the policy has. */
    of?: (secret: BoundSecret) => readonly BoundSecret[]
    script: (sandbox: Sandbox) => string
  },
): Promise<{ result: ExecResult; sent: string }> {
  await using upstream = await startUpstream(o.answer, certified)
  const secret: BoundSecret = {
    ...{ name: 'VAULT', host: 'secret.example', port: upstream.port, header: 'x-vault' },
    ...{ prefix: '', value: 'the-value-itself', ca: authority, repositories: ['acme/app'] },
    ...{ methods: secretMethods, paths: ['/'], ...o.rule },
  }
  await using wayOut = await openWayOut(bench, slot, {
    policy: { secrets: o.of?.(secret) ?? [secret], allowPrivate: [secret] },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
  })
  const script = o.script(wayOut.sandbox)
  const result = await attack(wayOut.sandbox, script, { network: true })
  return { result, sent: JSON.stringify(upstream.requests) }
}

const tellCanary = (_: IncomingMessage, response: ServerResponse) => response.end(canary)
const ask = (path: string) => (sandbox: Sandbox) =>
  asking(sandbox, { path: `/secret/VAULT${path}` })

/** What a task has of a secret of acme/app's. */
function policyFor(repoUrl: string, environment: Partial<EnvironmentContent>) {
  return (secret: BoundSecret) =>
    secretsFor(
      { config: { ...loadConfig({}), secrets: [secret] } },
      { order: { repoUrl }, environment: { ...defaultEnvironment, ...environment } },
    )
}

test('a secret of one repository is not there for the task of another', async () => {
  const named = { secrets: ['VAULT'] }
  const others = ['acme/other', 'app/acme', 'acme/app.x', 'acme/app/app']
  const urls = others.map((path) => `https://github.com/${path}`)
  for (const url of [...urls, 'https://github.example/acme/app']) {
    const of = policyFor(url, named)
    const { result } = await attackHost(940, { answer: tellCanary, of, script: ask('/') })
    assertUnread(result)
  }
  const of = policyFor('https://github.com/Acme/App.git', named)
  const { result } = await attackHost(940, { answer: tellCanary, of, script: ask('/') })
  assert.ok(result.stdout.startsWith(`200\n${canary}`))
})

test('a secret that the environment does not name is not there', async () => {
  const of = policyFor('https://github.com/acme/app', { secrets: ['OTHER'] })
  assertUnread((await attackHost(941, { answer: tellCanary, of, script: ask('/') })).result)
})

test('a session without a network has no secret, though its environment names some', async () => {
  const { config } = defaultEnvironment
  const closed = { ...config, networking: { type: 'none' } } as const
  const of = policyFor('https://github.com/acme/app', { secrets: ['VAULT'], config: closed })
  assertUnread((await attackHost(942, { answer: tellCanary, of, script: ask('/') })).result)
})

test('a host that repeats what it is sent does not give the secret away', async () => {
  const { result, sent } = await attackHost(943, {
    answer: ({ headers }, response) => {
      response.writeHead(200, { 'x-heard': String(headers['x-vault']) })
      response.end(headers['x-vault'])
    },
    rule: { value: canary },
    script: (sandbox) =>
      `curl -sSi -m 20 http://127.0.0.1:3128/secret/VAULT/; ${ask('/')(sandbox)}`,
  })
  assert.ok(sent.includes(canary))
  assertUnread(result)
})

test('a host that repeats what it is sent does not give the secret away in parts', async () => {
  const { result } = await attackHost(944, {
    answer: ({ headers }, response) => {
      const [, from = '0', to = '0'] = /^bytes=(\d+)-(\d+)$/.exec(String(headers.range)) ?? []
      const said = `${headers['x-vault']}`.slice(Number(from), Number(to) + 1)
      response.end(headers.range === undefined ? headers['x-vault'] : said)
    },
    rule: { value: canary },
    script: () =>
      ['0-5', '6-40']
        .map((range) => `curl -sS -m 20 -r ${range} http://127.0.0.1:3128/secret/VAULT/`)
        .join('; '),
  })
  assertUnread(result)
})

test('no credential of the sandbox’s own goes along with a secret', async () => {
  const headers = { authorization: canary, cookie: `a=${canary}`, 'x-api-key': canary }
  const { sent } = await attackHost(945, {
    answer: (_, response) => response.end(),
    script: (sandbox) => asking(sandbox, { path: '/secret/VAULT/', headers }),
  })
  assert.ok(sent.includes('the-value-itself'))
  assert.ok(!sent.includes(canary), `the canary was sent: ${sent}`)
})

test('no other spelling of a secret’s header goes along with it', async () => {
  const headers = { X_Vault: canary, 'X-VAULT': canary }
  const { sent } = await attackHost(946, {
    answer: (_, response) => response.end(),
    script: (sandbox) => asking(sandbox, { path: '/secret/VAULT/', headers }),
  })
  assert.ok(sent.includes('the-value-itself'))
  assert.ok(!sent.includes(canary), `the canary was sent: ${sent}`)
})

test('no spelling of a path leads beside those that a secret is for', async () => {
  const { result } = await attackHost(947, {
    answer: ({ url }, response) => response.end(url?.startsWith('/admin') ? canary : ''),
    rule: { paths: ['/v1'] },
    script: (sandbox) =>
      ['/admin', '//admin', '/v1/../admin', '/v1/%2e%2e/admin', '/v1/.%2E/admin']
        .map((path) => ask(path)(sandbox))
        .join('\n'),
  })
  assertUnread(result)
})

test('a host without the certificate of its name is not told the secret', async () => {
  for (const rule of [{ host: 'other.example' }, { ca: null }]) {
    const told = { ...rule, value: canary }
    const { sent } = await attackHost(949, { answer: tellCanary, rule: told, script: ask('/') })
    assert.ok(!sent.includes(canary), `the canary was sent: ${sent}`)
  }
})
