/** What a model request may ask for, by what is in its body. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PriceTable } from '../../src/prices/price-table.ts'
import { answerJson, bodyOf, model, path, policyOf } from './anthropic-stage.ts'
import { startGateway, startUpstream } from './harness.ts'

const image = (source: object) => [{ role: 'user', content: [{ type: 'image', source }] }]
const refused: Record<string, string> = {
  'an MCP server': bodyOf({
    mcp_servers: [{ type: 'url', url: 'https://evil.example', name: 'x' }],
  }),
  'a web search': bodyOf({ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }),
  'a web fetch': bodyOf({ tools: [{ type: 'web_fetch_20260318', name: 'web_fetch' }] }),
  'code execution': bodyOf({ tools: [{ type: 'code_execution_20260521', name: 'x' }] }),
  'a tool type of tomorrow': bodyOf({ tools: [{ type: 'teleport_20270101', name: 'x' }] }),
  'a container': bodyOf({ container: 'c_1' }),
  'an image by URL': bodyOf({ messages: image({ type: 'url', url: 'https://evil.example/a' }) }),
  'a stored file': bodyOf({ messages: image({ type: 'file', file_id: 'f' }) }),
  'an image by URL inside a tool result': bodyOf({
    messages: [
      {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            content: [{ type: 'document', source: { type: 'url', url: 'https://evil.example' } }],
          },
        ],
      },
    ],
  }),
  'a web fetch that is added later': bodyOf({
    messages: [
      {
        role: 'user',
        content: [
          {
            type: 'tool_addition',
            tool: { type: 'tool_definition', definition: { type: 'web_fetch_20260318' } },
          },
        ],
      },
    ],
  }),
  'fast mode': bodyOf({ speed: 'fast' }),
  'fast mode in a fallback': bodyOf({ fallbacks: [{ model, speed: 'fast' }] }),
  'a second mcp_servers that hides the first': bodyOf().replace(
    '{',
    '{"mcp_servers":[],"mcp_\\u0073ervers":[{"type":"url"}],',
  ),
  'no model': JSON.stringify({ max_tokens: 1 }),
  'no object': '[]',
  'no JSON': '{',
}
test('a body that would let the provider act for the agent is 400', async (t) => {
  await using upstream = await startUpstream(answerJson)
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  for (const [name, body] of Object.entries(refused))
    await t.test(name, async () => {
      const answer = await gateway.ask({ path, body })
      assert.equal(answer.status, 400)
      assert.equal(JSON.parse(answer.text).error.type, 'invalid_request_error')
      assert.equal(gateway.denials.at(-1)?.route, 'anthropic')
    })
  assert.equal(upstream.requests.length, 0)
})

test('a session is kept to its models, in fallbacks too, whatever date or provider is around the name', async (t) => {
  await using upstream = await startUpstream(answerJson)
  const base = policyOf(upstream).model
  const models = ['claude-opus-5-5', 'haiku', 'house/model']
  await using gateway = await startGateway({ policy: { model: { ...base, models } } })
  const statusOf = async (extra: object) => {
    const answer = await gateway.ask({ path, body: bodyOf(extra) })
    return [answer.status, answer.text] as const
  }
  for (const asked of [
    'claude-opus-5-5-20260901',
    'us.anthropic.claude-opus-5-5-20260901-v1:0',
    'claude-haiku-4-5-20251001',
    'house/model',
  ])
    await t.test(`${asked} passes`, async () => {
      assert.equal((await statusOf({ model: asked }))[0], 200)
    })
  const fallback = (name: string) => ({ fallbacks: [{ model: name }] })
  for (const [what, extra] of [
    ['another model', { model: 'claude-mythos-5' }],
    ['a later version', { model: 'claude-opus-5-5-1' }],
    ['an earlier one', { model: 'claude-opus-5' }],
    ['one that only begins so', { model: 'house/model-x' }],
    ['another fallback', fallback('claude-fable-5')],
    ['fallbacks of the provider’s choice', { fallbacks: 'default' }],
  ] as const)
    await t.test(`${what} does not`, async () => {
      const [status, text] = await statusOf(extra)
      assert.equal(status, 400)
      assert.match(text, /is not one of this session's|kept to its models/)
    })
  assert.equal(upstream.requests.length, 4)
  assert.equal(gateway.denials.length, 6)
})

test('a model without a known price is the dearest, or refused, as the setting says', async () => {
  await using upstream = await startUpstream(answerJson)
  const policy = policyOf(upstream)
  await using counting = await startGateway({ policy })
  const unknown = bodyOf({ model: 'somebody-elses-model' })
  assert.equal((await counting.ask({ path, body: unknown })).status, 200)
  const prices = new PriceTable({ unknownModel: 'refuse' })
  await using refusing = await startGateway({ policy, prices })
  const bodies = [
    unknown,
    bodyOf({ fallbacks: [{ model: 'somebody-elses-model' }] }),
    bodyOf({ fallbacks: 'default' }),
  ]
  for (const body of bodies) {
    const answer = await refusing.ask({ path, body })
    assert.equal(answer.status, 400)
    assert.match(answer.text, /UNKNOWN_MODEL refuses/)
  }
  assert.equal(upstream.requests.length, 1)
  assert.equal((await refusing.ask({ path, body: bodyOf() })).status, 200)
})

test('the provider fetches for an agent only where the policy says so, and never runs or searches', async () => {
  await using upstream = await startUpstream(answerJson)
  const model = { ...policyOf(upstream).model, fetches: true }
  await using gateway = await startGateway({ policy: { model } })
  const statusOf = async (extra: object) =>
    (await gateway.ask({ path, body: bodyOf(extra) })).status
  const fetched = { tools: [{ type: 'web_fetch_20260318', name: 'web_fetch' }] }
  assert.equal(await statusOf(fetched), 200)
  const url = { type: 'url', url: 'https://files.example/a.png' }
  assert.equal(await statusOf({ messages: image(url) }), 200)
  for (const name of ['a web search', 'code execution', 'an MCP server', 'a stored file'])
    assert.equal((await gateway.ask({ path, body: refused[name] ?? '' })).status, 400, name)
})

test('what the agent itself writes may look like anything', async () => {
  await using upstream = await startUpstream(answerJson)
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const input = { source: { type: 'url', url: 'https://x.example' }, type: 'web_fetch_20260318' }
  const body = bodyOf({
    tools: [
      { name: 'Edit', input_schema: { properties: { source: { type: 'url' } } } },
      { type: 'bash_20250124', name: 'bash' },
    ],
    mcp_servers: [],
    messages: [
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'x', input }] },
      ...image({ type: 'base64', media_type: 'image/png', data: 'aaaa' }),
    ],
  })
  assert.equal((await gateway.ask({ path, body })).status, 200)
})

test('a body beyond 32 MiB is refused, and a compressed one', async () => {
  await using gateway = await startGateway({
    policy: { model: { baseUrl: new URL('http://127.0.0.1:9'), headers: {} } },
  })
  const large = await gateway.ask({ path, body: Buffer.alloc(33 * 1024 * 1024, 'x') })
  assert.equal(large.status, 413)
  const packed = await gateway.ask({ path, body: 'x', headers: { 'content-encoding': 'gzip' } })
  assert.equal(packed.status, 400)
})
