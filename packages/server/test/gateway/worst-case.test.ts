/** What a request is admitted by: the most it can cost, as the API bills it. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { startGateway, startUpstream, until } from './harness.ts'

const path = '/anthropic/v1/messages'
const model = 'claude-opus-5-5'
/** Beyond every limit here, in US dollars and tokens: whoever waits for a turn gets none. */
const usage = { input_tokens: 10, output_tokens: 1_000_000 }

/** Asks four times at once, and gives how many are under way before the first is answered. */
async function atOnce(limitUsd: number, asked: object): Promise<number> {
  const open: ServerResponse[] = []
  let came = 0
  const all = Promise.withResolvers<void>()
  await using upstream = await startUpstream((_request, response) => open.push(response))
  await using gateway = await startGateway({
    limitUsd,
    policy: { model: { baseUrl: upstream.url, headers: {} } },
    beforeModelRequest: async () => {
      came += 1
      if (came === 4) all.resolve()
      await all.promise
    },
  })
  const body = JSON.stringify({ model, max_tokens: 1, messages: [], ...asked })
  const answers = Promise.all([1, 2, 3, 4].map(() => gateway.ask({ path, body })))
  await until(() => open.length > 0)
  for (let n = 0; n < open.length; n += 1) {
    open[n]?.writeHead(200, { 'content-type': 'application/json' })
    open[n]?.end(JSON.stringify({ model, usage }))
    await until(() => gateway.uses.length > n)
  }
  const refused = (await answers).filter(({ status }) => status === 403)
  assert.equal(refused.length, 4 - upstream.requests.length)
  return upstream.requests.length
}

function messagesOf(...content: object[]) {
  return { messages: [{ role: 'user', content }] }
}

const pdf = { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0xLjQ=' }
/** The longest prompt of any model, at 4 US dollars for a million tokens. */
const windowUsd = 4 * 1.1

test('a document whose pages nobody can count is admitted as the longest prompt there is', async () => {
  const document = { type: 'document', source: pdf }
  const nested = { type: 'tool_result', tool_use_id: 'x', content: [document] }
  const nameless = { source: pdf }
  for (const block of [document, nested, nameless]) {
    assert.equal(await atOnce(windowUsd * 2, messagesOf(block)), 1)
    assert.equal(await atOnce(windowUsd * 2.1, messagesOf(block)), 2)
  }
})

test('a document that is text is admitted by its length, and an image by the most one costs', async () => {
  const data = 'x'.repeat(3000)
  const text = { type: 'text', media_type: 'text/plain', data }
  const blocks = { type: 'content', content: [{ type: 'text', text: data }] }
  for (const source of [text, blocks])
    assert.equal(await atOnce(0.1, messagesOf({ type: 'document', source })), 4)
  // No model reads it as an image, so its length counts: 1,000 and some tokens.
  assert.equal(await atOnce(0.01, messagesOf({ type: 'image', source: text })), 2)
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } }
  // 5,000 and some tokens: 0.0223 US dollars.
  assert.equal(await atOnce(0.044, messagesOf(image)), 1)
  assert.equal(await atOnce(0.046, messagesOf(image)), 2)
})

test('what may be bound to the United States is admitted at its price, a tenth above', async () => {
  // 0.2 US dollars of output, and a few tokens of input.
  const asked = { max_tokens: 10_000 }
  assert.equal(await atOnce(0.43, { ...asked, inference_geo: 'global' }), 2)
  assert.equal(await atOnce(0.43, { ...asked, inference_geo: 'us' }), 1)
  // The key's workspace may say so for what says nothing.
  assert.equal(await atOnce(0.43, asked), 1)
})
