/** How a model request goes through the gateway, what comes back, and what it costs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { test } from 'node:test'
import { answerJson, bodyOf, costUsd, model, path, policyOf, usage } from './anthropic-stage.ts'
import { startGateway, startUpstream, until } from './harness.ts'

const stream = [
  { type: 'message_start', message: { model, usage: { ...usage, output_tokens: 1 } } },
  { type: 'content_block_delta', delta: { type: 'text_delta', text: 'hé' } },
  { type: 'message_delta', usage: { output_tokens: 50 } },
  { type: 'message_stop' },
]
  .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join('')

test('a request is forwarded with the real key in place of whatever was sent, and metered', async () => {
  await using upstream = await startUpstream(answerJson)
  await using gateway = await startGateway({ policy: policyOf(upstream, '/base/') })
  const answer = await gateway.ask({
    path,
    headers: {
      authorization: 'Bearer inbound-canary',
      'x-api-key': 'inbound-canary',
      cookie: 'inbound-canary',
      'proxy-authorization': 'inbound-canary',
      'x-anything': 'inbound-canary',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'some-beta',
      'content-type': 'application/json',
    },
    body: bodyOf(),
  })
  assert.equal(answer.status, 200)
  assert.deepEqual(
    [answer.headers['request-id'], answer.headers['anthropic-ratelimit-requests-remaining']],
    ['req_1', '7'],
  )
  assert.equal(answer.headers['set-cookie'], undefined)
  const [seen] = upstream.requests
  assert.equal(seen?.path, '/base/v1/messages?beta=true')
  assert.equal(seen?.headers['x-api-key'], 'real-key-canary')
  assert.equal(seen?.headers['anthropic-beta'], 'some-beta')
  assert.ok(!JSON.stringify(seen).includes('inbound-canary'))
  assert.deepEqual(JSON.parse(seen?.body ?? ''), JSON.parse(bodyOf()))
  assert.deepEqual(gateway.uses, [{ model, usage, costUsd }])
  assert.equal(gateway.gateway.spentUsd, costUsd)
})

test('a stream passes byte by byte as it comes, and its usage is read across chunks', async () => {
  let go = (): void => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  await using upstream = await startUpstream(async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const bytes = Buffer.from(stream)
    response.write(bytes.subarray(0, 11))
    await held
    for (let at = 11; at < bytes.length; at += 7) {
      response.write(bytes.subarray(at, at + 7))
      await new Promise(setImmediate)
    }
    response.end()
  })
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const sent = httpRequest({ socketPath: gateway.socketPath, path, method: 'POST', agent: false })
  sent.end(bodyOf({ stream: true }))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const [first] = await once(answer, 'data')
  assert.equal(String(first), stream.slice(0, 11))
  go()
  let rest = ''
  answer.setEncoding('utf8').on('data', (text) => {
    rest += text
  })
  await once(answer, 'end')
  assert.equal(String(first) + rest, stream)
  assert.deepEqual(gateway.uses, [{ model, usage, costUsd }])
})

test('a client that goes away ends the upstream request, and what was seen is recorded', async () => {
  let ended = false
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(stream.slice(0, stream.indexOf('event: message_delta')))
    response.once('close', () => {
      ended = true
    })
  })
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const sent = httpRequest({ socketPath: gateway.socketPath, path, method: 'POST', agent: false })
  sent.end(bodyOf({ stream: true }))
  sent.on('error', () => {})
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  await once(answer, 'data')
  sent.destroy()
  await until(() => ended && gateway.uses.length === 1)
  assert.equal(gateway.uses[0]?.usage.input_tokens, 100)
})

test('closing the gateway records the usage of what it cuts off', async () => {
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(stream.slice(0, 300))
  })
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const pending = gateway.ask({ path, body: bodyOf({ stream: true }) })
  pending.catch(() => {})
  await until(() => upstream.requests.length === 1)
  await gateway.gateway[Symbol.asyncDispose]()
  assert.equal(gateway.uses.length, 1)
  await assert.rejects(pending)
})

test('count_tokens is forwarded and costs nothing', async () => {
  await using upstream = await startUpstream((_request, response) => {
    response.end(JSON.stringify({ input_tokens: 9 }))
  })
  let asked = 0
  await using gateway = await startGateway({
    policy: policyOf(upstream),
    beforeModelRequest: async () => {
      asked += 1
    },
  })
  const answer = await gateway.ask({ path: '/anthropic/v1/messages/count_tokens', body: bodyOf() })
  assert.deepEqual([answer.status, answer.text], [200, '{"input_tokens":9}'])
  assert.deepEqual([gateway.uses.length, asked], [0, 0])
})

const otherWays: [method: string, path: string][] = [
  ['GET', '/anthropic/v1/messages'],
  ['POST', '/anthropic/v1/messages/batches'],
  ['POST', '/anthropic/v1/files'],
  ['POST', '/anthropic/v1/messages/'],
  ['POST', '/anthropic/v1/messages?beta=true&x=1'],
  ['POST', '/anthropic/../v1/messages'],
  ['POST', '/anthropic/v1/%6dessages'],
]
test('every other route of the API is 403', async (t) => {
  await using upstream = await startUpstream(answerJson)
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  for (const [method, other] of otherWays)
    await t.test(`${method} ${other}`, async () => {
      const body = method === 'POST' ? { body: bodyOf() } : {}
      const answer = await gateway.ask({ method, path: other, ...body })
      assert.equal(answer.status, 403)
      assert.equal(JSON.parse(answer.text).error.type, 'permission_error')
    })
  assert.equal(upstream.requests.length, 0)
  assert.equal(gateway.denials.length, otherWays.length)
})

test('without a model, requests are refused with a sentence', async () => {
  await using gateway = await startGateway()
  const answer = await gateway.ask({ path, body: bodyOf() })
  assert.equal(answer.status, 403)
  assert.match(JSON.parse(answer.text).error.message, /No model is configured/)
})

test("a refusal of the server's key is 403 to the client, and its owner is told why", async () => {
  for (const status of [401, 403]) {
    await using upstream = await startUpstream((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end('{"error":{"message":"invalid x-api-key real-key-canary"}}')
    })
    await using gateway = await startGateway({ policy: policyOf(upstream) })
    const answer = await gateway.ask({ path, body: bodyOf() })
    assert.equal(answer.status, 403)
    assert.equal(gateway.refusals[0]?.why, 'model_rejected')
    assert.match(gateway.refusals[0]?.message ?? '', /invalid x-api-key \[redacted\]/)
    assert.ok(!answer.text.includes('canary'))
    assert.equal(gateway.uses.length, 0)
  }
})

test('overload passes through with its retry-after, and costs nothing', async () => {
  for (const status of [429, 529, 500, 400]) {
    await using upstream = await startUpstream((_request, response) => {
      response.writeHead(status, { 'retry-after': '3', 'content-type': 'application/json' })
      response.end('{"type":"error"}')
    })
    await using gateway = await startGateway({ policy: policyOf(upstream), limitUsd: 1 })
    const answer = await gateway.ask({ path, body: bodyOf() })
    assert.deepEqual([answer.status, answer.headers['retry-after']], [status, '3'])
    assert.equal(answer.text, '{"type":"error"}')
    assert.equal(gateway.gateway.spentUsd, 0)
  }
})

test('a model that is not there is 502, and so is one that redirects', async () => {
  const gone = await startUpstream(answerJson)
  const policy = policyOf(gone)
  await gone[Symbol.asyncDispose]()
  await using gateway = await startGateway({ policy })
  const answer = await gateway.ask({ path, body: bodyOf() })
  assert.equal(answer.status, 502)
  assert.equal(JSON.parse(answer.text).error.type, 'api_error')
  await using moved = await startUpstream((_request, response) => {
    response.writeHead(307, { location: 'http://169.254.169.254/' }).end()
  })
  await using second = await startGateway({ policy: policyOf(moved) })
  assert.equal((await second.ask({ path, body: bodyOf() })).status, 502)
})

test('a request waits for the hook, and is 503 if the hook rejects', async () => {
  await using upstream = await startUpstream(answerJson)
  const hook = Promise.withResolvers<void>()
  const asked: unknown[] = []
  await using gateway = await startGateway({
    policy: policyOf(upstream),
    beforeModelRequest: (lastToolUses) => {
      asked.push(lastToolUses)
      return asked.length === 1 ? hook.promise : Promise.reject(new Error('not stored'))
    },
  })
  const turnOf = (id: string) => ({
    role: 'assistant',
    content: [{ type: 'text' }, { type: 'tool_use', id }],
  })
  const messages = [turnOf('tool_1'), turnOf('tool_2'), { role: 'user', content: 'hello' }]
  const pending = gateway.ask({ path, body: bodyOf({ messages }) })
  await until(() => asked.length === 1)
  assert.equal(upstream.requests.length, 0)
  hook.resolve()
  assert.equal((await pending).status, 200)
  assert.deepEqual(asked, [['tool_2']])
  const held = await gateway.ask({ path, body: bodyOf() })
  assert.deepEqual([held.status, upstream.requests.length], [503, 1])
})

test('close to the budget requests go one at a time, and none after it is spent', async () => {
  const open: ServerResponse[] = []
  await using upstream = await startUpstream((_request, response) => {
    open.push(response)
  })
  const limitUsd = costUsd * 1.5
  await using gateway = await startGateway({ policy: policyOf(upstream), limitUsd })
  const all = Array.from({ length: 4 }, () => gateway.ask({ path, body: bodyOf() }))
  for (let n = 1; n <= 2; n += 1) {
    await until(() => open.length === n)
    const response = open[n - 1]
    if (response !== undefined) answerJson(response.req, response)
    await until(() => gateway.uses.length === n)
  }
  const answers = await Promise.all(all)
  assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 200, 403, 403])
  const stopped = answers.find((answer) => answer.status === 403)
  assert.equal(JSON.parse(stopped?.text ?? '').error.type, 'billing_error')
  assert.equal(upstream.requests.length, 2)
  assert.deepEqual(
    gateway.refusals.map((refusal) => refusal.why),
    ['budget', 'budget'],
  )
  const counted = await gateway.ask({ path: '/anthropic/v1/messages/count_tokens', body: bodyOf() })
  assert.equal(counted.status, 403)
})

test('who waits for a turn at the budget waits until what was spent is stored', async () => {
  await using upstream = await startUpstream(answerJson)
  const stored = Promise.withResolvers<void>()
  await using gateway = await startGateway({
    policy: policyOf(upstream),
    limitUsd: costUsd * 1.5,
    onUsage: () => stored.promise,
  })
  const all = [1, 2].map(() => gateway.ask({ path, body: bodyOf() }))
  // Whose answer is there already need not wait.
  assert.equal((await Promise.race(all)).status, 200)
  const count = await gateway.ask({ path: '/anthropic/v1/messages/count_tokens', body: bodyOf() })
  assert.deepEqual([count.status, gateway.uses.length, upstream.requests.length], [200, 1, 2])
  stored.resolve()
  for (const answer of await Promise.all(all)) assert.equal(answer.status, 200)
  assert.equal(upstream.requests.length, 3)
})

test('requests far from the budget go together', async () => {
  const open: ServerResponse[] = []
  await using upstream = await startUpstream((_request, response) => {
    open.push(response)
    if (open.length === 3) for (const each of open) answerJson(each.req, each)
  })
  await using gateway = await startGateway({ policy: policyOf(upstream), limitUsd: 1 })
  const all = Array.from({ length: 3 }, () => gateway.ask({ path, body: bodyOf() }))
  for (const answer of await Promise.all(all)) assert.equal(answer.status, 200)
})
