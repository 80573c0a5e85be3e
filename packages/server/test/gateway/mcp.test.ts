import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGateway, startUpstream, type Upstream } from './harness.ts'

const secret = 'canary+of/the=server'

function gatewayTo(upstream: Upstream, o: { readonly listed?: boolean } = {}) {
  const mcp = {
    name: 'tickets',
    url: new URL('/mcp?team=1', upstream.url),
    headers: { 'x-team': 'one' },
    secretHeaders: { authorization: `Bearer ${secret}` },
    secrets: [secret],
  }
  const allowPrivate = o.listed === false ? [] : [{ host: '127.0.0.1', port: upstream.port }]
  return startGateway({ policy: { mcp: [mcp], allowPrivate } })
}

test('a request reaches the one URL of its server, with the secret in place of what came', async () => {
  await using upstream = await startUpstream((_, response, body) => {
    response.writeHead(200, { 'mcp-session-id': 's1', 'set-cookie': 'a=b' }).end(body)
  })
  await using gateway = await gatewayTo(upstream)
  const answer = await gateway.ask({
    path: '/mcp/tickets',
    body: '{}',
    headers: { authorization: 'Bearer mine', 'mcp-session-id': 's1', 'x-other': '1' },
  })
  assert.equal(answer.status, 200)
  assert.equal(answer.text, '{}')
  assert.equal(answer.headers['mcp-session-id'], 's1')
  assert.equal(answer.headers['set-cookie'], undefined)
  const [request] = upstream.requests
  assert.equal(request?.path, '/mcp?team=1')
  assert.equal(request?.headers.authorization, `Bearer ${secret}`)
  assert.equal(request?.headers['x-team'], 'one')
  assert.equal(request?.headers['x-other'], undefined)
})

test('a stream comes through as it is written, and without the secret', async () => {
  await using upstream = await startUpstream(async (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(`data: ${secret.slice(0, 8)}`)
    response.end(`${secret.slice(8)} is yours\n\n`)
  })
  await using gateway = await gatewayTo(upstream)
  const answer = await gateway.ask({ path: '/mcp/tickets' })
  assert.equal(answer.text, 'data: [secret] is yours\n\n')
})

for (const [what, status, headers, says] of [
  ['does not take the credential', 401, {}, /credential/],
  ['redirects', 307, { location: 'http://127.0.0.1:1/' }, /redirects/],
  ['compresses unasked', 200, { 'content-encoding': 'gzip' }, /encoding/],
] as const) {
  test(`a server that ${what} is a bad gateway, in a sentence`, async () => {
    await using upstream = await startUpstream((_, response) => {
      response.writeHead(status, headers).end(secret)
    })
    await using gateway = await gatewayTo(upstream)
    const answer = await gateway.ask({ path: '/mcp/tickets', body: '{}' })
    assert.equal(answer.status, 502)
    assert.match(answer.text, says)
    assert.ok(!answer.text.includes(secret))
  })
}

test('other names, paths and methods are not there; large bodies and private addresses are refused', async () => {
  await using upstream = await startUpstream((_, response) => response.end())
  await using gateway = await gatewayTo(upstream)
  for (const asked of [
    { path: '/mcp/other' },
    { path: '/mcp/tickets/more' },
    { path: '/mcp/tickets?a' },
    { path: '/mcp/' },
    { path: '/mcp/tickets', method: 'PUT', body: '' },
  ])
    assert.equal((await gateway.ask(asked)).status, 404, JSON.stringify(asked))
  assert.ok(gateway.denials.every(({ route }) => route === 'mcp'))
  const large = await gateway.ask({ path: '/mcp/tickets', body: 'x'.repeat(5 * 1024 * 1024) })
  assert.equal(large.status, 413)
  await using unlisted = await gatewayTo(upstream, { listed: false })
  const answer = await unlisted.ask({ path: '/mcp/tickets', body: '{}' })
  assert.equal(answer.status, 403)
  assert.match(answer.text, /GATEWAY_ALLOW_PRIVATE/)
  assert.deepEqual(upstream.requests, [])
})
