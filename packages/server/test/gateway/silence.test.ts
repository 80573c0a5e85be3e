/** A model that says nothing is given up by the gateway, in words, and its client asks again. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { ManualClock } from '../support/manual-clock.ts'
import { startGateway, startUpstream, until } from './harness.ts'

const path = '/anthropic/v1/messages?beta=true'
const model = 'claude-opus-5-5'
const start = { type: 'message_start', message: { model, usage: { input_tokens: 100 } } }
const frame = `event: message_start\ndata: ${JSON.stringify(start)}\n\n`

function bodyOf(stream: boolean): string {
  const messages = [{ role: 'user', content: 'hello' }]
  return JSON.stringify({ model, max_tokens: 1000, messages, stream })
}

async function stageOf(answer: (response: ServerResponse) => void) {
  const clock = new ManualClock()
  const upstream = await startUpstream((_request, response) => answer(response))
  const policy = { model: { baseUrl: upstream.url, headers: { 'x-api-key': 'real' } } }
  const gateway = await startGateway({ policy, clock })
  const asked = (stream = true) => gateway.ask({ path, body: bodyOf(stream) })
  return {
    ...{ clock, upstream, gateway, asked },
    async [Symbol.asyncDispose]() {
      await upstream[Symbol.asyncDispose]()
      await gateway[Symbol.asyncDispose]()
    },
  }
}

test('a stream whose bytes pause for 60 s is cut off, and paid for', async () => {
  let open: ServerResponse | null = null
  await using stage = await stageOf((response) => {
    open = response
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(frame)
  })
  const { clock, gateway } = stage
  const answer = stage.asked().then(
    () => 'complete',
    () => 'broken',
  )
  // Its headers are on their way through the gateway: from then on a pause is one of 60 s.
  await until(() => open !== null && clock.pending > 0)
  const beforeMs = clock.elapsed()
  await until(() => {
    clock.advance(1000)
    return gateway.silences.length > 0
  })
  assert.ok(clock.elapsed() - beforeMs >= 60_000)
  assert.deepEqual(gateway.silences, ['The model’s answer stopped for 60 s.'])
  assert.equal(await answer, 'broken')
  assert.equal(gateway.uses.length, 1)
})

test('a stream that does not begin within three minutes is answered 504, which is asked again', async () => {
  await using stage = await stageOf(() => {})
  const asked = stage.asked()
  await until(() => stage.upstream.requests.length === 1)
  stage.clock.advance(179_999)
  assert.deepEqual(stage.gateway.silences, [])
  stage.clock.advance(1)
  const answer = await asked
  assert.equal(answer.status, 504)
  assert.match(answer.text, /did not begin to answer within 180 s/)
  assert.deepEqual(stage.gateway.silences, ['The model did not begin to answer within 180 s.'])
})

test('an answer that is no stream may take its ten minutes', async () => {
  let open: ServerResponse | null = null
  await using stage = await stageOf((response) => {
    open = response
  })
  const asked = stage.asked(false)
  await until(() => open !== null)
  stage.clock.advance(10 * 60_000)
  const usage = { input_tokens: 1, output_tokens: 1 }
  const response: ServerResponse | null = open
  assert.ok(response)
  Object(response).end(JSON.stringify({ model, usage }))
  assert.equal((await asked).status, 200)
  assert.deepEqual(stage.gateway.silences, [])
})
