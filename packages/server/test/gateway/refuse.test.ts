/** What is said to whoever is refused: a sentence, however much was asked. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { excerpt } from '../../src/gateway/excerpt.ts'
import { refuse, refuseGitHub, refuseModel, refuseSocket } from '../../src/gateway/refuse.ts'
import { startGateway, startUpstream } from './harness.ts'

const path = '/anthropic/v1/messages'

test('a refusal repeats a little of what it refuses, however much was sent', async () => {
  const model = { baseUrl: new URL('http://127.0.0.1:9'), headers: {} }
  await using gateway = await startGateway({ policy: { model } })
  const long = 'x'.repeat(1_000_000)
  const message = (content: unknown) => ({ messages: [{ role: 'user', content: [content] }] })
  for (const asked of [
    { tools: [{ type: long }] },
    { tools: [{ type: { [long]: long } }] },
    message({ type: `mcp_${long}` }),
    message({ type: 'tool_definition', definition: { type: long } }),
    message({ type: 'image', source: { type: long } }),
    message({ type: 'image', source: { type: [long] } }),
  ]) {
    const body = JSON.stringify({ model: 'claude-opus-5-5', max_tokens: 1, ...asked })
    const { status, text } = await gateway.ask({ path, body })
    assert.deepEqual([status, text.length < 400], [400, true], `${text.length} characters`)
  }
  const told = gateway.decisions.map(({ why }) => why?.length ?? 0)
  assert.ok(told.length > 0 && told.every((length) => length < 300), `${told}`)
})

test('every refusal is bounded, whoever wrote its sentence', async () => {
  const long = 'x'.repeat(1_000_000)
  const ways: readonly ((response: ServerResponse) => Promise<void>)[] = [
    (to) => refuse(to, { status: 400, sentence: long }),
    (to) => refuseGitHub(to, { status: 400, message: long }),
    (to) => refuseModel(to, { status: 400, type: 'api_error', message: long }),
    async ({ socket }) => refuseSocket(socket as Socket, { status: '400 No', sentence: long }),
  ]
  await using upstream = await startUpstream((request, response) =>
    ways[Number(request.url?.slice(1))]?.(response),
  )
  for (const at of ways.keys()) {
    const answer = await fetch(new URL(`/${at}`, upstream.url))
    const { length } = await answer.text()
    assert.ok(answer.status === 400 && length >= 4_000 && length < 4_100, `${at}: ${length}`)
  }
})

test('the beginning of a long text does not keep all of it in memory', async () => {
  const bytes = await keptOf(() => excerpt('x'.repeat(8_000_000), 100))
  assert.ok(bytes < 2_000_000, `${bytes} bytes`)
  assert.equal(excerpt('ab\u{1f600}', 3), 'ab\ufffd')
})

/** Bytes that ten results keep alive. */
async function keptOf(make: () => string): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  const before = process.memoryUsage().heapUsed
  const kept = Array.from({ length: 10 }, make)
  await setImmediate()
  collect()
  const after = process.memoryUsage().heapUsed
  assert.equal(kept.length, 10)
  return after - before
}
