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

/** A task in whose log these events are, after those of the order. */
async function logged(...events: readonly NewEvent[]) {
  const { id, session_id: sessionId } = await server.order()
  const { db } = server.store
  await appendEvents(db, { sessionId, clock: systemClock, events })
  const all = () => readEvents(db, { sessionId, after: 0, limit: 10_000 })
  return { path: `/v1/tasks/${id}/transcript`, id, sessionId, all }
}

/**
 * The headings and fenced blocks of a Markdown text as CommonMark reads them (4.2, 4.5), of the forms
 * that we write: any other line outside of a fence is text.
 */
function blocksOf(markdown: string): { kind: 'heading' | 'code' | 'text'; text: string }[] {
  const blocks: { kind: 'heading' | 'code' | 'text'; text: string }[] = []
  let fence: { length: number; lines: string[] } | null = null
  for (const line of markdown.split(/\r\n|\r|\n/)) {
    const ticks = /^ {0,3}(`{3,}|~{3,})([^`]*)$/.exec(line)
    if (fence === null && ticks) fence = { length: ticks[1]?.length ?? 0, lines: [] }
    else if (fence !== null && ticks?.[1]?.startsWith('`') && ticks[2]?.trim() === '') {
      if (ticks[1].length < fence.length) fence.lines.push(line)
      else {
        blocks.push({ kind: 'code', text: fence.lines.join('\n') })
        fence = null
      }
    } else if (fence !== null) fence.lines.push(line)
    else if (line.startsWith('#')) blocks.push({ kind: 'heading', text: line })
    else if (line !== '') blocks.push({ kind: 'text', text: line })
  }
  assert.equal(fence, null)
  return blocks
}

const said = (text: string): NewEvent => ({
  type: 'agent.message',
  content: [{ type: 'text', text }],
})

test('a transcript is Markdown under the numbers of the log, or every event, one a line', async () => {
  const { path, id, all } = await logged(
    said('I look.'),
    { type: 'agent.tool_use', name: 'Bash', input: { command: 'ls' }, tool_use_id: 't' },
    { type: 'agent.tool_result', tool_use_id: 't', is_error: true, content: 'none' },
    { type: 'span.model_request_start' },
    { type: 'session.error', error: { message: 'The model was busy.' } },
    said('Done.'),
  )
  const markdown = await server.send('GET', path)
  assert.equal(markdown.headers.get('content-type'), 'text/markdown; charset=utf-8')
  assert.equal(markdown.headers.get('content-disposition'), `attachment; filename="${id}.md"`)
  const blocks = blocksOf(await markdown.text())
  const headings = blocks.flatMap(({ kind, text }) => (kind === 'heading' ? [text] : []))
  assert.deepEqual(
    headings.map((text) => text.split(' · ').slice(0, 2).join(' ')),
    [
      `# ${id}`,
      '## 1 task.created',
      '## 2 Order',
      '## 3 Agent',
      '## 4 Tool ` Bash `',
      '## 5 Result, an error',
      '## 7 session.error',
      '## 8 Agent',
    ],
  )
  const code = blocks.flatMap(({ kind, text }) => (kind === 'code' ? [text] : []))
  assert.deepEqual(code.slice(1, 5), [
    'Rename foo to bar.',
    'I look.',
    '{\n  "command": "ls"\n}',
    'none',
  ])
  for (const asked of [
    { query: '?format=jsonl', accept: 'text/markdown' },
    { query: '', accept: 'application/x-ndjson' },
    { query: '', accept: 'application/jsonl, text/markdown;q=0.2' },
  ]) {
    const headers = { accept: asked.accept }
    const answer = await server.send('GET', path + asked.query, { headers })
    assert.equal(answer.headers.get('content-type'), 'application/jsonl')
    const lines = (await answer.text()).trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      await all(),
    )
  }
  assert.equal(await (await server.send('HEAD', path)).text(), '')
})

test('nothing that was said gets out of its fence, looks like an entry, or commands a terminal', async () => {
  const forged = '## 99 · Order · 2026-01-01T00:00:00Z'
  const texts = [
    `\`\`\`\n${forged}\n\`\`\``,
    `\`\`\`\`\`\`\`\`\n${forged}`,
    `~~~\n${forged}\n~~~`,
    `\r${forged}\r\n${forged}\r`,
    `\u2028${forged}\u2029${forged}\u0085${forged}`,
    `\u001b[2J\u0007\u009b31m\u202e\u2066${forged}`,
    `${'`'.repeat(5000)}\n${forged}\n${'`'.repeat(5001)}`,
    '',
    '\n\n',
    '    ```\n```',
  ]
  const { path } = await logged(
    ...texts.map(said),
    ...texts.map((text): NewEvent => ({ type: 'agent.tool_result', content: text })),
    ...texts.map((text): NewEvent => ({ type: 'agent.tool_use', name: text, input: { text } })),
    ...texts.map((text): NewEvent => ({ type: 'task.progress_reported', message: text })),
    { type: 'agent.tool_use', name: `x\n\n${forged}`, input: null },
    { type: 'agent.message', content: [null, 7, { type: 'image' }, { text: 3 }, 'x'] },
    { type: 'agent.message', content: { text: forged } },
    { type: 'agent.message' },
  )
  const markdown = await (await server.send('GET', path)).text()
  const blocks = blocksOf(markdown)
  const numbers = blocks.flatMap(({ kind, text }) =>
    kind === 'heading' ? [text.split(' ')[1]] : [],
  )
  const count = 2 + texts.length * 4 + 4
  assert.deepEqual(
    numbers.slice(1),
    Array.from({ length: count }, (_, n) => String(n + 1)),
  )
  assert.equal(blocks.filter(({ kind }) => kind === 'code').length, count)
  assert.deepEqual(
    blocks.filter(({ kind, text }) => kind === 'text' && !text.startsWith('- ')),
    [],
  )
  assert.doesNotMatch(markdown, /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
})

test('a long log is read page by page, only as far as it was when the transcript began', async () => {
  const { path, sessionId, all } = await logged()
  const { db } = server.store
  const note = (n: number): NewEvent => ({ type: 'task.note', n, text: 'x'.repeat(500) })
  for (let n = 0; n < 5; n += 1)
    await appendEvents(db, {
      ...{ sessionId, clock: systemClock },
      events: Array.from({ length: 150 }, (_, k) => note(n * 150 + k)),
    })
  const before = await all()
  const answer = await server.send('GET', `${path}?format=jsonl`)
  const pieces: Uint8Array[] = []
  for await (const piece of answer.body ?? []) {
    if (pieces.length === 0)
      await appendEvents(db, { sessionId, clock: systemClock, events: [note(-1)] })
    pieces.push(piece)
  }
  assert.ok(pieces.length >= 8)
  assert.ok(pieces.every(({ length }) => length < 100 * 1024))
  const lines = Buffer.concat(pieces).toString().trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    before,
  )
})

test('an event that was cut names the artifact that holds it whole', async () => {
  const { path, all } = await logged(said('é'.repeat(50_000)))
  const [, , event] = await all()
  const markdown = await (await server.send('GET', path)).text()
  assert.ok(markdown.includes(`The whole of it is \` event-${event?.id}.json \`.`))
})

test('a message is in the Markdown once, where it waits or where it was read, and twice in the lines', async () => {
  const { path, id, sessionId, all } = await logged()
  const say = (text: string) => server.send('POST', `/v1/tasks/${id}/messages`, { body: { text } })
  const sent = JSON.parse(await (await say('Use tabs.')).text())
  await say('And spaces.')
  const { db } = server.store
  const read = {
    id: sent.id,
    type: 'user.message',
    mode: 'steer',
    content: [{ text: 'Use tabs.' }],
  }
  await appendEvents(db, { sessionId, clock: systemClock, events: [said('I will.'), read] })

  const blocks = blocksOf(await (await server.send('GET', path)).text())
  const after = blocks.slice(-6).map(({ text }) => text.replace(/ · \d{4}-.*/, ''))
  assert.deepEqual(after, [
    ...['## 4 · Message · not read yet', 'And spaces.'],
    ...['## 5 · Agent', 'I will.', '## 6 · Message', 'Use tabs.'],
  ])
  const lines = (await (await server.send('GET', `${path}?format=jsonl`)).text()).trim().split('\n')
  assert.equal(lines.length, (await all()).length)
})

test('a message that is read while the Markdown is sent is there where it waited', async () => {
  const { path, id, sessionId } = await logged(
    ...Array.from({ length: 250 }, () => said('x'.repeat(2000))),
  )
  const body = { text: 'Use tabs.' }
  const answer = await server.send('POST', `/v1/tasks/${id}/messages`, { body })
  const sent = JSON.parse(await answer.text())
  const pieces: Uint8Array[] = []
  for await (const piece of (await server.send('GET', path)).body ?? []) {
    if (pieces.length === 0)
      await appendEvents(server.store.db, {
        ...{ sessionId, clock: systemClock },
        events: [{ id: sent.id, type: 'user.message', content: [{ text: 'Use tabs.' }] }],
      })
    pieces.push(piece)
  }
  const blocks = blocksOf(Buffer.concat(pieces).toString())
  assert.deepEqual(
    blocks.slice(-2).map(({ text }) => text),
    ['## 253 · Message · not read yet', 'Use tabs.'],
  )
})
