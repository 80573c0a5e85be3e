/** How much may be in the body of a model request, and what that costs everybody else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { JsonCount, JsonTooLarge } from '../../src/gateway/json-count.ts'
import { startGateway, startUpstream } from './harness.ts'

const path = '/anthropic/v1/messages'
const valuesMax = 100_000
const depthMax = 500

/** As large as it may be: four values are around the messages, and two are in each but the last. */
function bodyOf(messages: string): string {
  return `{"model":"claude-opus-5-5","max_tokens":1,"stream":false,"messages":[${messages}]}`
}
const most = bodyOf(`${'{},'.repeat((valuesMax - 4) / 2 - 1)}{}`)
const deepest = `${'['.repeat(depthMax - 2)}1${']'.repeat(depthMax - 2)}`

test('a body of the most values passes, one of one more does not; as well by depth', async () => {
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(400, { 'content-type': 'application/json' }).end('{}')
  })
  const model = { baseUrl: upstream.url, headers: {} }
  await using gateway = await startGateway({ policy: { model } })
  const statusOf = async (body: string) => (await gateway.ask({ path, body })).status
  assert.equal(await statusOf(most), 400, 'the answer of the provider')
  assert.equal(await statusOf(bodyOf(deepest)), 400, 'the answer of the provider')
  assert.equal(upstream.requests.length, 2)
  assert.equal(await statusOf(most.replace('{}]', '{},1]')), 413)
  assert.equal(await statusOf(bodyOf(`[${deepest}]`)), 413)
  assert.equal(await statusOf('['.repeat(valuesMax)), 413)
  assert.equal(upstream.requests.length, 2)
  const [refused] = gateway.decisions.filter(({ verdict }) => verdict !== 'allowed')
  assert.match(JSON.stringify(refused), /more than 100000 values/)
})

test('what stands in strings is no value, wherever the chunks end', () => {
  const text = JSON.stringify({ [`{["\\`]: `\\"${'[{,\\'.repeat(valuesMax)}\\` })
  for (const size of [1, 2, 3, 7, 8, text.length]) {
    const count = new JsonCount()
    for (let at = 0; at < text.length; at += size)
      count.feed(Buffer.from(text.slice(at, at + size)))
    count.feed(Buffer.from('['.repeat(depthMax)))
    assert.throws(() => count.feed(Buffer.from('[')), JsonTooLarge)
  }
})

test('other requests are answered while bodies of the most values are parsed', async () => {
  await using upstream = await startUpstream((_request, response) => response.end())
  const model = { baseUrl: upstream.url, headers: {} }
  await using gateway = await startGateway({ policy: { model } })
  // Ten at once: in one turn each, the event loop would have had some tens of them.
  let done = 0
  const turns: number[] = []
  const all = Promise.all(
    Array.from({ length: 10 }, async () => {
      await gateway.ask({ path, body: most })
      done += 1
    }),
  )
  while (done < 10) {
    turns.push(done)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await all
  assert.ok(turns.length > 100, `${turns.length} turns`)
})
