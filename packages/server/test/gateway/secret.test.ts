/** Secrets of the operator's, each on its host alone, over TLS. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type BoundSecret, secretMethods } from '../../src/credentials-file/credentials.ts'
import { authority, certified } from '../support/tls.ts'
import { type Ask, ask, askRaw, startGateway, startUpstream, type Upstream } from './harness.ts'

const value = 'canary+of/the=host'

function gatewayTo(upstream: Upstream, o: Partial<BoundSecret> & { listed?: boolean } = {}) {
  const { listed = true, ...rule } = o
  const secret: BoundSecret = {
    ...{ name: 'STRIPE', host: 'localhost', port: upstream.port },
    ...{ header: 'authorization', prefix: 'Bearer ', value, ca: authority },
    ...{ repositories: ['acme/app'], methods: secretMethods, paths: ['/'] },
    ...rule,
  }
  const allowPrivate = listed ? [{ host: secret.host, port: secret.port }] : []
  return startGateway({
    policy: { secrets: [secret], allowPrivate },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
  })
}

function tls(
  answer: (request: IncomingMessage, response: ServerResponse, body: string) => unknown,
) {
  return startUpstream(answer, certified)
}

test('a request reaches the host by TLS with the secret in place of what came, whatever its method', async () => {
  await using upstream = await tls((_, response, body) => {
    response.writeHead(201, { 'set-cookie': 'session=1', 'x-rate': '9' }).end(`got ${body}`)
  })
  await using gateway = await gatewayTo(upstream)
  const headers = {
    ...{ authorization: 'Bearer mine', cookie: 'a=b', 'x-api-key': 'mine', 'proxy-a': '1' },
    ...{ 'x-kept': '1', range: 'bytes=0-3', x_under: '1', 'accept-encoding': 'gzip' },
    ...{
      'x-http-method-override': 'DELETE',
      'x-method-override': 'DELETE',
      'x-http-method': 'PUT',
    },
    ...{ 'x-original-url': '/v1/admin', 'x-rewrite-url': '/', 'x-forwarded-prefix': '/a' },
  }
  const path = '/secret/STRIPE/v1/charges?limit=3&a=%2F..'
  const answer = await gateway.ask({ path, method: 'PATCH', body: '{"a":1}', headers })
  assert.equal(answer.status, 201)
  assert.equal(answer.text, 'got {"a":1}')
  assert.equal(answer.headers['x-rate'], '9')
  assert.equal(answer.headers['set-cookie'], undefined)
  const [request] = upstream.requests
  assert.deepEqual([request?.method, request?.path], ['PATCH', '/v1/charges?limit=3&a=%2F..'])
  const { host, connection: _, ...sent } = request?.headers ?? {}
  assert.equal(host, `localhost:${upstream.port}`)
  assert.deepEqual(sent, {
    'user-agent': 'longhaul',
    'x-kept': '1',
    'content-length': '7',
    'accept-encoding': 'identity',
    authorization: `Bearer ${value}`,
  })
  const { route, verdict, details } = gateway.decisions[0] ?? {}
  assert.deepEqual([route, verdict], ['secret', 'allowed'])
  assert.deepEqual(details, { secret: 'STRIPE', method: 'PATCH', path: '/v1/charges' })
})

test('a header of another name takes the secret as well, and none of that name comes from inside', async () => {
  await using upstream = await tls((_, response) => response.end())
  await using gateway = await gatewayTo(upstream, { header: 'dd-api-key', prefix: '' })
  const headers = { 'DD-API-KEY': 'mine', dd_api_key: 'mine', authorization: 'mine' }
  await gateway.ask({ path: '/secret/STRIPE', headers })
  const [request] = upstream.requests
  assert.equal(request?.path, '/')
  assert.equal(request?.headers['dd-api-key'], value)
  assert.ok(!JSON.stringify(request?.headers).includes('mine'))
})

test('what the host repeats comes back without the secret: in headers, streams and encodings', async () => {
  await using upstream = await tls(({ headers }, response) => {
    const said = headers.authorization ?? ''
    response.writeHead(200, { 'x-echo': said, 'content-type': 'text/event-stream' })
    response.write(`data: ${said.slice(0, 12)}`)
    response.write(`${said.slice(12)}\n\n`)
    response.end(`${encodeURIComponent(value)} ${Buffer.from(value).toString('base64')}`)
  })
  await using gateway = await gatewayTo(upstream)
  const { headers, text } = await gateway.ask({ path: '/secret/STRIPE/echo' })
  assert.equal(headers['x-echo'], 'Bearer [secret]')
  assert.match(text, /^data: Bearer \[secret\]\n\n\[secret\] \[secret\]/)
})

test('a redirect on the same host leads back through the gateway, and another one stays what it is', async () => {
  await using upstream = await tls(({ url, headers }, response) => {
    const absolute = `https://localhost:${upstream.port}/there?a=1#b`
    const location =
      url === '/absolute' ? absolute : url === '/away' ? 'https://evil.example/' : './x'
    response.writeHead(302, { location, 'x-host': String(headers.host) }).end()
  })
  await using gateway = await gatewayTo(upstream)
  const locationOf = async (path: string) => {
    const { status, headers } = await gateway.ask({ path: `/secret/STRIPE${path}` })
    assert.equal(status, 302)
    return headers.location
  }
  assert.equal(await locationOf('/absolute'), '/secret/STRIPE/there?a=1#b')
  assert.equal(await locationOf('/down/here'), '/secret/STRIPE/down/x')
  assert.equal(await locationOf('/away'), 'https://evil.example/')
  assert.equal(upstream.requests.length, 3)
})

test('a name, a path or a method that the rule does not have is refused with a sentence, and told', async () => {
  await using upstream = await tls((_, response) => response.end('ok'))
  const rule = { methods: ['GET'], paths: ['/v1/charges', '/v2/'] }
  await using gateway = await gatewayTo(upstream, rule)
  const asking: readonly (readonly [Ask, number, RegExp])[] = [
    [{ path: '/secret/OTHER/v1/charges' }, 404, /no secret OTHER for this task/],
    [{ path: '/secret/stripe/v1/charges' }, 404, /no such secret/],
    [{ path: '/secret/STRIPEX' }, 404, /no secret STRIPEX/],
    [{ path: '/secret/STRIPE/v1/charges', body: '' }, 405, /not for POST/],
    [{ path: '/secret/STRIPE/v1/chargesx' }, 403, /not for this path/],
    [{ path: '/secret/STRIPE/' }, 403, /not for this path/],
    ...['?_method=DELETE', '?a=1&%5Fmethod=DELETE', '?a;_METHOD=delete'].map(
      (query) => [{ path: `/secret/STRIPE/v2/${query}` }, 403, /may not name a method/] as const,
    ),
    ...[
      '/v2/../x',
      '/v2/%2e%2E/x',
      '/v2/..;/x',
      '/v2/a%2fb',
      '/v2/a%5Cb',
      '/v2/a\\b',
      '/v2/%252e./x',
    ]
      .concat(['/v2/.', '/v2/%00', '/v2/%zz', '/v2/%ff', '/v2/..%3ba', '/v2/a%25252F'])
      .map((rest) => [{ path: `/secret/STRIPE${rest}` }, 403, /slash in disguise/] as const),
  ]
  for (const [asked, status, sentence] of asking) {
    const answer = await gateway.ask(asked)
    assert.equal(answer.status, status, asked.path)
    assert.match(answer.text, sentence)
  }
  assert.equal(upstream.requests.length, 0)
  const differing = new Set(gateway.denials.map(({ why }) => why))
  assert.ok(gateway.denials.every(({ route }) => route === 'secret'))
  assert.equal(differing.size, 7)
  const allowed = [
    '/v1/charges',
    '/v1/charges/7',
    '/v2/...',
    '//v2/a.b%20c',
    '/v2/?payment_method=1',
  ]
  for (const rest of allowed)
    assert.equal((await gateway.ask({ path: `/secret/STRIPE${rest}` })).status, 200, rest)
})

test('TRACE, which repeats what it is sent, is no method of a secret', async () => {
  await using upstream = await tls((_, response) => response.end())
  await using gateway = await gatewayTo(upstream)
  assert.equal((await gateway.ask({ path: '/secret/STRIPE/', method: 'TRACE' })).status, 405)
})

test('a private address needs GATEWAY_ALLOW_PRIVATE, and a host its own certificate', async () => {
  await using upstream = await tls((_, response) => response.end())
  await using unlisted = await gatewayTo(upstream, { listed: false })
  const refused = await unlisted.ask({ path: '/secret/STRIPE/' })
  assert.equal(refused.status, 403)
  assert.match(refused.text, /GATEWAY_ALLOW_PRIVATE/)
  await using untrusted = await gatewayTo(upstream, { ca: null })
  await using other = await gatewayTo(upstream, { host: 'other.example' })
  for (const [gateway, code] of [
    [untrusted, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/],
    [other, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ] as const) {
    const answer = await gateway.ask({ path: '/secret/STRIPE/' })
    assert.equal(answer.status, 502)
    assert.match(answer.text, code)
  }
  assert.equal(upstream.requests.length, 0)
})

test('bodies are bounded both ways, and one that is encoded is not passed on', async () => {
  await using upstream = await tls(({ url }, response) => {
    if (url === '/gzip')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(value))
    else if (url === '/large') response.writeHead(200, { 'content-length': 2 ** 30 }).flushHeaders()
    else response.end()
  })
  await using gateway = await gatewayTo(upstream)
  const gzipped = await gateway.ask({ path: '/secret/STRIPE/gzip' })
  assert.deepEqual([gzipped.status, /encoding/.test(gzipped.text)], [502, true])
  const large = await gateway.ask({ path: '/secret/STRIPE/large' })
  assert.deepEqual([large.status, /larger than 64 MiB/.test(large.text)], [502, true])
  const body = Buffer.alloc(64 * 1024 * 1024 + 1)
  assert.equal((await gateway.ask({ path: '/secret/STRIPE/', body })).status, 413)
})

test('a HEAD request has the length of what GET would answer', async () => {
  await using upstream = await tls((_, response) => {
    response.writeHead(200, { 'content-length': '12' }).end('twelve bytes')
  })
  await using gateway = await gatewayTo(upstream)
  const head = await gateway.ask({ path: '/secret/STRIPE/', method: 'HEAD' })
  assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '12', ''])
  assert.equal((await gateway.ask({ path: '/secret/STRIPE/' })).text, 'twelve bytes')
})

test('the body of a DELETE without a length is a body, and no second request', async () => {
  await using upstream = await tls((_, response, body) => response.end(body))
  await using gateway = await gatewayTo(upstream)
  const smuggled = 'GET /admin HTTP/1.1\r\nhost: localhost\r\nauthorization: mine\r\n\r\n'
  const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`
  const head = 'DELETE /secret/STRIPE/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n'
  const said = await askRaw(gateway.socketPath, `${head}transfer-encoding: chunked\r\n\r\n${chunk}`)
  assert.match(said, /^HTTP\/1\.1 200/)
  assert.deepEqual(
    upstream.requests.map(({ method, path, body }) => [method, path, body]),
    [['DELETE', '/x', smuggled]],
  )
})

test('a client that goes away ends the request at the host', async () => {
  const closed = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  await using upstream = await tls((_, response) => {
    response.once('close', closed.resolve).writeHead(200).write('data: 1\n\n')
    begun.resolve()
  })
  await using gateway = await gatewayTo(upstream)
  const gone = new AbortController()
  const asked = ask(gateway.socketPath, { path: '/secret/STRIPE/', signal: gone.signal })
  await begun.promise
  gone.abort()
  await assert.rejects(asked)
  await closed.promise
})
