import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { appendEvents, type NewEvent } from '../../src/events/append.ts'
import { readEvents } from '../../src/events/read.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function page(sessionId: string, query: string) {
  const answer = await server.send('GET', `/v1/sessions/${sessionId}/events?${query}`)
  assert.equal(answer.status, 200)
  return JSON.parse(await answer.text())
}

const append = (sessionId: string, events: readonly NewEvent[]) =>
  appendEvents(server.store.db, { sessionId, clock: systemClock, events })

test('events come in pages by number, filtered by type, with long tool output cut', async () => {
  const { session_id: sessionId } = await server.order()
  const output = 'é'.repeat(5000)
  const content = [
    { type: 'text', text: output },
    { type: 'text', text: 'after' },
  ]
  await appendEvents(server.store.db, {
    sessionId,
    clock: systemClock,
    events: [
      { type: 'agent.tool_use', name: 'bash', input: {}, tool_use_id: 't1' },
      { type: 'agent.tool_result', tool_use_id: 't1', content, is_error: false },
      { type: 'agent.message', content: [{ type: 'text', text: output }] },
    ],
  })
  const read = (query: string) => page(sessionId, query)
  const all = await read('limit=1000')
  assert.deepEqual(
    all.data.map((one: { seq: number }) => one.seq),
    all.data.map((_: unknown, at: number) => at + 1),
  )
  assert.equal(all.next_page, null)
  const [toolResult] = (await read('types[]=agent.tool_result')).data
  assert.equal(toolResult.truncated, true)
  assert.equal(toolResult.content[0].text, 'é'.repeat(4096))
  assert.equal(toolResult.content[1].text, '')
  const [message] = (await read('types=agent.message')).data
  assert.equal(message.content[0].text, output)
  assert.equal(message.truncated, undefined)
  const [first, second] = [await read('limit=2'), await read('limit=2&page=2')]
  assert.equal(first.next_page, '2')
  assert.equal(second.data[0].seq, 3)
  assert.deepEqual((await read('after=3&limit=1')).data[0].seq, 4)
})

test('lists show the last row of an event id, on one page each; the log keeps every row', async () => {
  const { session_id: sessionId } = await server.order()
  const { db } = server.store
  const [last] = (await readEvents(db, { sessionId, after: 0, limit: 100 })).slice(-1)
  const before = last?.seq ?? 0
  const ids = Array.from({ length: 7 }, (_, n) => `sevt_${n}`)
  const row = (id: string, state: string): NewEvent => ({ id, type: 'user.message', state })
  await append(
    sessionId,
    ids.slice(0, 4).map((id) => row(id, 'accepted')),
  )
  await append(
    sessionId,
    ids.slice(0, 3).map((id) => row(id, 'processed')),
  )
  await append(
    sessionId,
    ids.slice(4).map((id) => row(id, 'accepted')),
  )
  await append(sessionId, [row('sevt_6', 'processed')])
  const seen: { id: string; seq: number; state: string }[] = []
  let query: string | null = `after=${before}`
  while (query !== null) {
    const { data, next_page: next }: { data: typeof seen; next_page: string | null } = await page(
      sessionId,
      `${query}&limit=2`,
    )
    assert.equal(data.length, next === null ? 1 : 2)
    seen.push(...data)
    query = next && `page=${next}`
  }
  assert.deepEqual(
    seen.map(({ id, seq, state }) => [id, seq - before, state]),
    [
      ['sevt_3', 4, 'accepted'],
      ['sevt_0', 5, 'processed'],
      ['sevt_1', 6, 'processed'],
      ['sevt_2', 7, 'processed'],
      ['sevt_4', 8, 'accepted'],
      ['sevt_5', 9, 'accepted'],
      ['sevt_6', 11, 'processed'],
    ],
  )
  const { data } = await page(sessionId, 'types=user.message&limit=3')
  assert.equal(data.length, 3)
  assert.equal((await readEvents(db, { sessionId, after: before, limit: 100 })).length, 11)
})

test('another session with the same event id has an event of its own', async () => {
  const [one, other] = [await server.order(), await server.order()]
  const event = { id: 'sevt_shared', type: 'user.message' }
  await append(one.session_id, [event])
  await append(other.session_id, [event, event])
  for (const { session_id: sessionId } of [one, other]) {
    const { data } = await page(sessionId, 'limit=1000')
    const shared = data.filter(({ id }: { id: string }) => id === 'sevt_shared')
    assert.equal(shared.length, 1)
  }
})

test('a search finds text in values only, whatever signs it has, and says how many there are', async () => {
  const { session_id: sessionId } = await server.order()
  const said = (text: string): NewEvent => ({
    type: 'agent.message',
    content: [{ type: 'text', text }],
  })
  const hostile = `${String.raw`50% "off" \d+ (a|b) .* _x`}\nnext`
  await append(sessionId, [
    said('Needle one'),
    said('a NEEDLE, and another needle'),
    said(hostile),
    { type: 'agent.tool_use', name: 'bash', input: { command: 'grep needle x', deep: ['needle'] } },
    { id: 'sevt_twice', type: 'user.message', content: 'needle', state: 'accepted' },
    { id: 'sevt_twice', type: 'user.message', content: 'needle', state: 'processed' },
    said('hay'),
  ])
  const search = async (q: string, more = '') =>
    await page(sessionId, `q=${encodeURIComponent(q)}${more}`)
  assert.equal((await search('needle')).total, 4)
  assert.equal((await search('needle', '&types=agent.message')).total, 2)
  for (const part of ['50% "off"', String.raw`\d+`, '(a|b) .*', '_x\nnext', hostile])
    assert.equal((await search(part)).total, 1, part)
  for (const absent of ['50_ "off"', 'd+ (a|b) .*x', 'command', 'text', 'content', '","', '{', '%'])
    assert.equal((await search(absent)).total, absent === '%' ? 1 : 0, absent)
  const seen: number[] = []
  for (let next: string | null = ''; next !== null; ) {
    const found: { data: { seq: number }[]; next_page: string | null; total: number } =
      await search('needle', `&limit=1${next && `&page=${next}`}`)
    assert.equal(found.total, 4)
    seen.push(...found.data.map(({ seq }) => seq))
    next = found.next_page
  }
  assert.deepEqual(seen, [3, 4, 6, 8])
  assert.equal((await page(sessionId, 'limit=1')).total, undefined)
})

test('a search finds a field named type in a tool’s input, and no type of a block', async () => {
  const { session_id: sessionId } = await server.order()
  await append(sessionId, [
    { type: 'agent.tool_use', name: 'query', input: { type: 'zebra' } },
    { type: 'agent.mcp_tool_use', name: 'query', input: { of: [{ type: 'Zebra crossing' }] } },
    { type: 'agent.message', content: [{ type: 'zebra', text: 'none' }] },
  ])
  const found = await page(sessionId, 'q=zebra')
  assert.deepEqual([found.total, ...found.data.map(({ seq }: { seq: number }) => seq)], [2, 3, 4])
})

test('errors alone are the session’s, failed ends, and calls, commands and checks that failed', async () => {
  const { session_id: sessionId } = await server.order()
  const failed: NewEvent[] = [
    { type: 'session.error', error: { type: 'unknown_error' } },
    { type: 'agent.tool_result', is_error: true, content: 'no such file' },
    { type: 'task.checks_finished', outcome: 'failed', results: [] },
    { type: 'task.command_finished', result: { outcome: 'timed_out' } },
    { type: 'workspace.setup_finished', failure: { command: 'npm ci' } },
    { type: 'task.failed', reason: 'checks_failed' },
  ]
  await append(sessionId, [
    ...failed,
    { type: 'agent.tool_result', is_error: false, content: 'is_error: true' },
    { type: 'task.checks_finished', outcome: 'passed', results: [] },
    { type: 'workspace.setup_finished', failure: null },
  ])
  const { data, total } = await page(sessionId, 'errors=true')
  assert.equal(total, failed.length)
  assert.deepEqual(
    data.map(({ type }: { type: string }) => type),
    failed.map(({ type }) => type),
  )
  assert.equal((await page(sessionId, 'errors=true&q=no%20such')).total, 1)
})
