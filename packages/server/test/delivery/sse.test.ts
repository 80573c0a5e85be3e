import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { appendEvents, type NewEvent } from '../../src/events/append.ts'
import { type Listening, listen } from '../../src/http/listen.ts'
import { setSessionStatus } from '../../src/store/sessions.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until } from '../support/until.ts'
import { collect } from './reader.ts'

const streamsMax = 50
const clock = new ManualClock()
let server: TestApp
let web: Listening

before(async () => {
  server = await openTestApp({ streamsMax, streamClock: clock })
  web = await listen(server.app, { host: '127.0.0.1', port: 0, clock: systemClock })
})
after(async () => {
  await web[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** A reader of one stream, by hand, so that it can break off anywhere. */
async function open(sessionId: string, o: { query?: string; last?: number } = {}) {
  const abort = new AbortController()
  const answer = await fetch(`${web.url}/v1/sessions/${sessionId}/events/stream?${o.query ?? ''}`, {
    signal: abort.signal,
    headers: {
      authorization: `Bearer ${server.key}`,
      ...(o.last !== undefined && { 'last-event-id': String(o.last) }),
    },
  })
  const { messages, comments, done } = collect(answer.body)
  const seqs = () => messages.flatMap(({ id }) => (id === undefined ? [] : [Number(id)]))
  return { answer, messages, comments, seqs, done, stop: () => abort.abort() }
}

function append(sessionId: string, ...events: readonly NewEvent[]) {
  return appendEvents(server.store.db, { sessionId, events, clock: systemClock })
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at)

test('a stream is live-only unless it says from where, and carries the number as its id', async () => {
  const { session_id: sessionId } = await server.order()
  const reader = await open(sessionId)
  assert.equal(reader.answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.equal(reader.answer.headers.get('x-accel-buffering'), 'no')
  assert.match(reader.answer.headers.get('request-id') ?? '', /^req_/)
  await until('the first bytes', () => reader.comments.includes('open'))
  const [event] = await append(sessionId, { type: 'agent.message', content: 'one\ntwo' })
  await until('the event', () => reader.messages.length === 1)
  const [message] = reader.messages
  assert.equal(message?.id, String(event?.seq))
  assert.equal(message?.event, 'agent.message')
  assert.deepEqual(JSON.parse(message?.data ?? ''), event)
  reader.stop()
  await reader.done
})

test('`after` replays from the store, and Last-Event-ID is stronger', async () => {
  const { session_id: sessionId } = await server.order()
  await append(sessionId, ...numbers(3, 12).map((n) => ({ type: 'task.note', n })))
  const all = await open(sessionId, { query: 'after=0' })
  await until('twelve events', () => all.seqs().length === 12)
  assert.deepEqual(all.seqs(), numbers(1, 12))
  const rest = await open(sessionId, { query: 'after=0', last: 9 })
  await until('three events', () => rest.seqs().length === 3)
  assert.deepEqual(rest.seqs(), [10, 11, 12])
  for (const reader of [all, rest]) reader.stop()
})

test('readers that break off and resume while events are written see each number once', async () => {
  const { session_id: sessionId } = await server.order()
  const total = 600
  const writing = (async () => {
    for (let seq = 3; seq <= total; ) {
      const burst = numbers(seq, Math.min(total, seq + (seq % 23)))
      await append(sessionId, ...burst.map((n) => ({ type: 'task.note', n })))
      seq += burst.length
    }
  })()
  async function read(patience: number): Promise<number[]> {
    const seen: number[] = []
    while (seen.length < total) {
      const reader = await open(sessionId, { last: seen.at(-1) ?? 0 })
      const enough = Math.min(patience, total - seen.length)
      await until(`${enough} more events`, () => reader.seqs().length >= enough)
      reader.stop()
      await reader.done
      seen.push(...reader.seqs())
    }
    return seen
  }
  for (const seen of await Promise.all([read(7), read(61), read(250), read(total)]))
    assert.deepEqual(seen, numbers(1, total))
  await writing
})

test('fifty readers that vanish leave no listener, no timer and no connection', async () => {
  await until('earlier readers are gone', () => server.live.readerCount === 0)
  const timers = clock.pending
  const { session_id: sessionId } = await server.order()
  const readers = await Promise.all(numbers(1, streamsMax).map(() => open(sessionId)))
  await until('all are followed', () => server.live.readerCount === streamsMax)
  assert.equal(getEventListeners(server.drain.signal, 'abort').length, streamsMax)
  const refused = await open(sessionId)
  assert.equal(refused.answer.status, 429)
  await append(sessionId, { type: 'task.note' })
  for (const [at, reader] of readers.entries()) if (at % 2 === 0) reader.stop()
  await until('half are gone', () => server.live.readerCount === streamsMax / 2)
  for (const reader of readers) reader.stop()
  await until('all are gone', () => server.live.readerCount === 0)
  const listeners = () => getEventListeners(server.drain.signal, 'abort').length
  await until('no listener is left', () => listeners() === 0)
  await until('no timer is left', () => clock.pending <= timers)
  const next = await open(sessionId)
  assert.equal(next.answer.status, 200)
  next.stop()
})

test('a stream ends after the last event of its session, and a return is answered 204', async () => {
  const { session_id: sessionId } = await server.order()
  const reader = await open(sessionId)
  await append(sessionId, { type: 'task.completed' }, { type: 'session.status_terminated' })
  await setSessionStatus(server.store.db, {
    id: sessionId,
    status: 'terminated',
    now: new Date(),
  })
  await reader.done
  assert.deepEqual(
    reader.messages.map(({ event }) => event),
    ['task.completed', 'session.status_terminated'],
  )
  const again = await open(sessionId, { last: reader.seqs().at(-1) ?? 0 })
  assert.equal(again.answer.status, 204)
  const late = await open(sessionId, { query: 'after=0' })
  await late.done
  assert.equal(late.seqs().length, 4)
  const live = await open(sessionId)
  assert.equal(live.answer.status, 200)
  await live.done
  assert.deepEqual(live.messages, [])
})

test('deltas come only to who asked, without a number, and never after their event', async () => {
  const { session_id: sessionId } = await server.order()
  const [asked, plain] = await Promise.all([
    open(sessionId, { query: 'event_deltas[]=agent.message' }),
    open(sessionId),
  ])
  await until('both follow', () => server.live.readerCount === 2)
  const delta = (event_id: string) => ({ type: 'event_delta', event_id, delta: { text: 'x' } })
  const start = (id: string, type: string) => ({ type: 'event_start', event: { id, type } })
  server.live.delta(sessionId, start('sevt_m', 'agent.message'))
  server.live.delta(sessionId, start('sevt_t', 'agent.thinking'))
  server.live.delta(sessionId, delta('sevt_m'))
  server.live.delta(sessionId, delta('sevt_t'))
  await until('a delta', () => asked.messages.length === 2)
  await append(sessionId, { id: 'sevt_m', type: 'agent.message' })
  await until('the event', () => asked.messages.length === 3)
  // As they come of another process: late.
  server.live.delta(sessionId, start('sevt_m', 'agent.message'))
  server.live.delta(sessionId, delta('sevt_m'))
  await append(sessionId, { type: 'task.note' })
  await until('the next event', () => asked.messages.length >= 4 && plain.messages.length >= 2)
  assert.deepEqual(
    asked.messages.map(({ event, id }) => [event, id === undefined]),
    [
      ['event_start', true],
      ['event_delta', true],
      ['agent.message', false],
      ['task.note', false],
    ],
  )
  assert.deepEqual(
    plain.messages.map(({ event }) => event),
    ['agent.message', 'task.note'],
  )
  for (const reader of [asked, plain]) reader.stop()
})

test('a silent stream gives a sign of life after 15 s', async () => {
  const { session_id: sessionId } = await server.order()
  const reader = await open(sessionId)
  await until('the first bytes', () => reader.comments.length === 1)
  clock.advance(15_000)
  await until('a ping', () => reader.comments.at(-1) === 'ping')
  reader.stop()
})

test('a reader that takes nothing for 30 s is cut off, and nothing was kept for it', async () => {
  await until('earlier readers are gone', () => server.live.readerCount === 0)
  const { session_id: sessionId } = await server.order()
  const text = 'x'.repeat(60_000)
  for (let n = 0; n < 10; n += 1)
    await append(sessionId, ...numbers(1, 20).map(() => ({ type: 'agent.message', text })))
  const { port } = new URL(web.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.pause()
  socket.write(
    `GET /v1/sessions/${sessionId}/events/stream?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.key}\r\n\r\n`,
  )
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => undefined)
  await until('it is followed', () => server.live.readerCount === 1)
  await until('it is cut', () => {
    clock.advance(5_000)
    return server.live.readerCount === 0
  })
  socket.resume()
  await closed
})

test('a stream whose log cannot be read says so and ends, to be resumed', async () => {
  const { session_id: sessionId } = await server.order()
  const reader = await open(sessionId, { query: 'after=0' })
  await until('two events', () => reader.seqs().length === 2)
  const { schema } = server.store.db
  await schema.alterTable('events').renameTo('events_away').execute()
  server.live.delta(sessionId, { type: 'event_delta' }) // Wakes the reader.
  await reader.done
  await schema.alterTable('events_away').renameTo('events').execute()
  const last = reader.messages.at(-1)
  assert.equal(last?.event, 'error')
  assert.equal(JSON.parse(last?.data ?? '').error.type, 'api_error')
  const again = await open(sessionId, { last: 1 })
  await until('the second event', () => again.seqs().length === 1)
  again.stop()
})

test('a drain ends every stream cleanly', async () => {
  const { session_id: sessionId } = await server.order()
  const readers = await Promise.all([open(sessionId), open(sessionId, { query: 'after=0' })])
  await until('both follow', () => server.live.readerCount === 2)
  server.drain.abort()
  await Promise.all(readers.map((reader) => reader.done))
  assert.equal(server.live.readerCount, 0)
  assert.equal((await open(sessionId)).answer.status, 429)
})
