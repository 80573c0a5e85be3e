import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/clock.ts'
import { appendEvents, type NewEvent } from '../../src/events/append.ts'
import { createKey } from '../../src/http/first-key.ts'
import { type Listening, listen } from '../../src/http/listen.ts'
import { setSessionStatus } from '../../src/store/sessions.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { until } from '../support/until.ts'
import { SocketClient } from './socket-client.ts'

const socketsMax = 8
const clock = new ManualClock()
let server: TestApp
let web: Listening

before(async () => {
  server = await openTestApp({ socketsMax, streamClock: clock })
  web = await listen(server.app, { host: '127.0.0.1', port: 0, clock: systemClock })
})
after(async () => {
  await web[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

const clients: SocketClient[] = []
async function open(o: { key?: string; autoPong?: boolean } = {}): Promise<SocketClient> {
  const client = await SocketClient.open(web.url, { key: server.key, ...o })
  clients.push(client)
  return client
}

/** Each test leaves as many readers, listeners and timers as it found: none. */
afterEach(async () => {
  for (const { ws } of clients.splice(0)) ws.terminate()
  await until('every reader is gone', () => server.live.readerCount === 0)
  await until('every timer is gone', () => clock.pending === 0)
  assert.equal(getEventListeners(server.drain.signal, 'abort').length, 0)
})

function append(sessionId: string, ...events: readonly NewEvent[]) {
  return appendEvents(server.store.db, { sessionId, events, clock: systemClock })
}

/** What answers an upgrade: its status, and its body in the error envelope. */
async function refusal(headers: Record<string, string>, path = '/v1/ws') {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const asked = request(`${web.url}${path}`, {
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': Buffer.alloc(16, 7).toString('base64'),
      ...headers,
    },
  })
  asked.on('error', reject)
  asked.on('upgrade', (answer, socket) => {
    socket.destroy()
    resolve({ status: answer.statusCode ?? 0, text: '{}' })
  })
  asked.on('response', (answer) => {
    let text = ''
    answer.on('data', (chunk) => {
      text += String(chunk)
    })
    answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
  })
  asked.end()
  const { status, text } = await promise
  return { status, body: JSON.parse(text) }
}

test('a key opens a socket in a header or as a protocol; nothing else does', async () => {
  const { key } = server
  const offers: Record<string, string>[] = [
    { authorization: `Bearer ${key}` },
    { 'x-api-key': key },
    { 'sec-websocket-protocol': `longhaul, bearer.${key}` },
    { 'sec-websocket-protocol': `bearer.${key},longhaul` },
  ]
  for (const headers of offers) assert.equal((await refusal(headers)).status, 101)
  const browser = new WebSocket(`${web.url}/v1/ws`, ['longhaul', `bearer.${key}`])
  await new Promise((resolve) => browser.once('open', resolve))
  assert.equal(browser.protocol, 'longhaul')
  browser.close()
  const write = await createKey(
    { store: server.store, clock: systemClock },
    { name: 'w', scopes: ['tasks:write'] },
  )
  const rows: [Record<string, string>, number, RegExp][] = [
    [{}, 401, /An API key is needed/],
    [{ authorization: 'Bearer nope' }, 401, /not known/],
    [{ 'sec-websocket-protocol': 'longhaul, bearer.nope' }, 401, /not known/],
    [{ 'x-api-key': write }, 403, /tasks:read/],
    [{ 'x-api-key': key, 'sec-websocket-version': '8' }, 400, /sec-websocket-version: expected 13/],
    [{ 'x-api-key': key, 'sec-websocket-key': 'short' }, 400, /sec-websocket-key: expected 16/],
    [{ 'sec-websocket-protocol': `bearer.${key}` }, 400, /expected longhaul among/],
    [{ 'x-api-key': key, 'sec-websocket-protocol': 'a b' }, 400, /a list of different names/],
    [{ 'x-api-key': key, 'sec-websocket-protocol': 'longhaul,longhaul' }, 400, /different names/],
    [{ 'x-api-key': key, upgrade: 'h2c' }, 426, /expected `Upgrade: websocket`/],
  ]
  for (const [headers, status, says] of rows) {
    const { status: got, body } = await refusal(headers)
    assert.equal(got, status, JSON.stringify(headers))
    assert.equal(body.type, 'error')
    assert.match(body.error.message, says)
    assert.match(body.request_id, /^req_/)
    assert.doesNotMatch(JSON.stringify(body), new RegExp(key))
  }
  assert.equal((await refusal({ 'x-api-key': key }, '/v1/ws?after=1')).status, 400)
  assert.equal((await refusal({ 'x-api-key': key }, '/v1/tasks')).status, 200)
  assert.equal((await refusal({ 'x-api-key': key }, '/v1/nope')).status, 404)
  assert.equal((await server.send('GET', '/v1/ws')).status, 426)
  assert.equal((await server.send('POST', '/v1/ws')).status, 405)
})

test('one socket follows many sessions, each from its own number, and leaves each by itself', async () => {
  const [one, two] = [await server.order(), await server.order()]
  await append(one.session_id, { type: 'task.note' }, { type: 'task.note' })
  const client = await open()
  client.subscribe(one.session_id, { after: 1 })
  client.subscribe(two.session_id)
  await until('both are followed', () => client.said.filter(isSubscribed).length === 2)
  assert.deepEqual(
    client.said.filter(isSubscribed).map(({ session_id, after }) => [session_id, after]),
    [
      [one.session_id, 1],
      [two.session_id, 2],
    ],
  )
  const [event] = await append(two.session_id, { type: 'agent.message', content: 'one\ntwo' })
  await until('the events', () => client.seqs(two.session_id).length === 1)
  await until('the replay', () => client.seqs(one.session_id).length === 3)
  assert.deepEqual(client.seqs(one.session_id), [2, 3, 4])
  assert.deepEqual(
    client.said.find(({ seq, session_id }) => session_id === two.session_id && seq),
    event,
  )
  client.tell({ type: 'unsubscribe', session_id: two.session_id })
  const left = await client.message(({ type }) => type === 'unsubscribed')
  assert.deepEqual(left, {
    type: 'unsubscribed',
    session_id: two.session_id,
    reason: 'requested',
  })
  await append(two.session_id, { type: 'task.note' })
  await append(one.session_id, { type: 'task.note' })
  await until('the other goes on', () => client.seqs(one.session_id).length === 4)
  assert.equal(client.seqs(two.session_id).length, 1)
  client.subscribe(two.session_id, { after: 3 })
  await until('it resumes', () => client.seqs(two.session_id).length === 2)
  assert.deepEqual(client.seqs(two.session_id), [3, 4])
  client.tell({ type: 'ping' })
  await client.message(({ type }) => type === 'pong')
})

const isSubscribed = ({ type }: { type: string }): boolean => type === 'subscribed'

test('a subscription ends after the last event of its session', async () => {
  const { session_id: sessionId } = await server.order()
  const client = await open()
  client.subscribe(sessionId)
  await client.message(isSubscribed)
  await append(sessionId, { type: 'task.completed' }, { type: 'session.status_terminated' })
  const { db } = server.store
  await setSessionStatus(db, { id: sessionId, status: 'terminated', now: new Date() })
  const left = await client.message(({ type }) => type === 'unsubscribed')
  assert.equal(left['reason'], 'ended')
  assert.deepEqual(client.seqs(sessionId), [3, 4])
  client.subscribe(sessionId, { after: 4 })
  await until('it ends again', () => client.said.at(-1)?.['reason'] === 'ended')
  assert.equal(client.ws.readyState, WebSocket.OPEN)
})

test('deltas come only where they were asked for, with the session that they are of', async () => {
  const { session_id: sessionId } = await server.order()
  const [asked, plain] = [await open(), await open()]
  asked.subscribe(sessionId, { event_deltas: ['agent.message'] })
  plain.subscribe(sessionId)
  await until('both follow', () => server.live.readerCount === 2)
  const event = { id: 'sevt_m', type: 'agent.message' }
  server.live.delta(sessionId, { type: 'event_start', event })
  server.live.delta(sessionId, { type: 'event_delta', event_id: 'sevt_m', delta: { text: 'x' } })
  await asked.message(({ type }) => type === 'event_delta')
  await append(sessionId, event)
  for (const client of [asked, plain]) await client.message(({ id }) => id === 'sevt_m')
  assert.deepEqual(
    asked.said.map(({ type, session_id }) => [type, session_id]),
    ['subscribed', 'event_start', 'event_delta', 'agent.message'].map((type) => [type, sessionId]),
  )
  assert.deepEqual(
    plain.said.map(({ type }) => type),
    ['subscribed', 'agent.message'],
  )
})

test('every bad message is answered in the error envelope, and the socket goes on', async () => {
  const { session_id: sessionId } = await server.order()
  const unknown = 'sesn_00000000000000000000000000'
  const client = await open()
  const rows: [unknown, string, RegExp][] = [
    ['{"type":', 'malformed_json', /not JSON/],
    ['', 'malformed_json', /not JSON/],
    ['null', 'invalid_input', /message: expected an object, got null/],
    ['[]', 'invalid_input', /message: expected an object, got an array of 0/],
    [{}, 'invalid_input', /type: expected one of subscribe, unsubscribe, ping, got nothing/],
    [{ type: 'sub' }, 'invalid_input', /type: expected one of .*, got "sub"/],
    [{ type: 'ping', x: 1 }, 'invalid_input', /x: unknown field, got 1/],
    [{ type: 'subscribe' }, 'invalid_input', /session_id: expected a string, got nothing/],
    [
      { type: 'subscribe', session_id: 'x', after: -1, event_deltas: ['all'], y: 2 },
      'invalid_input',
      /session_id: .*after: expected at least 0, got -1; event_deltas\.0: .*y: unknown/,
    ],
    [
      { type: 'subscribe', session_id: sessionId, after: 1.5 },
      'invalid_input',
      /after: expected a whole number, got 1.5/,
    ],
    [
      { type: 'subscribe', session_id: sessionId, after: '3' },
      'invalid_input',
      /after: expected a number, got "3"/,
    ],
    [{ type: 'subscribe', session_id: unknown }, 'no_session', /no such session/],
    [{ type: 'unsubscribe', session_id: sessionId }, 'not_subscribed', /not subscribed/],
  ]
  for (const [sent, code, says] of rows) {
    const before = client.said.length
    client.tell(sent)
    await until(`an answer to ${JSON.stringify(sent)}`, () => client.said.length > before)
    const answer = JSON.stringify(client.said.at(-1))
    const { type, error, request_id } = JSON.parse(answer)
    assert.equal(type, 'error', answer)
    assert.equal(error.details.error_code, code, answer)
    assert.match(error.message, says)
    assert.match(request_id, /^req_/)
  }
  client.ws.send(Buffer.from('{"type":"ping"}'), { binary: true })
  await client.message(({ error }) => JSON.stringify(error ?? '').includes('binary_message'))
  client.subscribe(sessionId)
  client.subscribe(sessionId)
  const again = await client.message(({ error }) =>
    JSON.stringify(error ?? '').includes('already_subscribed'),
  )
  assert.equal(again['session_id'], sessionId)
  assert.equal(client.ws.readyState, WebSocket.OPEN)
})

test('a socket has at most 50 subscriptions, and a server as many sockets as it says', async () => {
  const sessions = await Promise.all(Array.from({ length: 51 }, () => server.order()))
  const client = await open()
  for (const { session_id } of sessions) client.subscribe(session_id)
  const refused = await client.message(({ type }) => type === 'error')
  assert.match(JSON.stringify(refused), /too_many_subscriptions/)
  await until('fifty are followed', () => server.live.readerCount === 50)
  for (let n = 1; n < socketsMax; n += 1) await open()
  const { status, body } = await refusal({ 'x-api-key': server.key })
  assert.equal(status, 429)
  assert.equal(body.error.type, 'rate_limit_error')
  clients.at(-1)?.ws.close()
  await clients.at(-1)?.over
  await until('there is room', async () => {
    const answer = await refusal({ 'x-api-key': server.key })
    return answer.status === 101
  })
})

test('a message beyond its bound, or more of them than are read, closes the socket with a code', async () => {
  const [large, huge, flood] = [await open(), await open(), await open()]
  large.tell({ type: 'ping', x: 'y'.repeat(5000) })
  await large.over
  assert.deepEqual(large.closed, { code: 1009, reason: 'message_too_large' })
  assert.match(JSON.stringify(large.said.at(-1)), /"request_too_large".*"message_too_large"/)
  huge.tell('x'.repeat(100_000))
  await huge.over
  assert.equal(huge.closed?.code, 1009)
  for (let n = 0; n < 5000; n += 1) flood.tell({ type: 'unsubscribe', session_id: 'x' })
  await flood.over
  assert.deepEqual(flood.closed, { code: 4429, reason: 'too_many_messages' })
  assert.match(JSON.stringify(flood.said.at(-1)), /"rate_limit_error".*"too_many_messages"/)
})

test('a stalled reader is paused, closed after 30 s with a code, and resumes from its number', async () => {
  const { session_id: sessionId } = await server.order()
  const { session_id: other } = await server.order()
  const text = 'x'.repeat(60_000)
  for (let n = 0; n < 15; n += 1)
    await append(sessionId, ...Array.from({ length: 20 }, () => ({ type: 'agent.message', text })))
  const client = await open()
  client.ws.pause()
  client.subscribe(sessionId, { after: 0 })
  client.subscribe(other, { after: 0 })
  await until('both are followed', () => server.live.readerCount === 2)
  // Whenever it became full: it is given up when 30 s have passed since, and not before.
  const from = clock.now()
  await until('it is given up', () => {
    if (server.live.readerCount > 0) clock.advance(500)
    return server.live.readerCount === 0
  })
  assert.ok(clock.now() - from >= 30_000)
  client.ws.resume()
  await client.over
  assert.deepEqual(client.closed, { code: 4408, reason: 'stalled' })
  assert.match(JSON.stringify(client.said.at(-1)), /"timeout_error".*"stalled"/)
  const seen = client.seqs(sessionId)
  assert.ok(seen.length < 302)
  const next = await open()
  next.subscribe(sessionId, { after: seen.at(-1) ?? 0 })
  await until('the rest', () => seen.length + next.seqs(sessionId).length >= 302)
  assert.deepEqual(
    [...seen, ...next.seqs(sessionId)],
    Array.from({ length: 302 }, (_, n) => n + 1),
  )
})

test('a peer that does not answer is dropped at the second beat, one that does stays', async () => {
  const { session_id: sessionId } = await server.order()
  const [dead, well] = [await open({ autoPong: false }), await open()]
  for (const client of [dead, well]) client.subscribe(sessionId)
  await until('both follow', () => server.live.readerCount === 2)
  let pings = 0
  for (const { ws } of [dead, well]) ws.on('ping', () => (pings += 1))
  clock.advance(15_000)
  await until('both were asked', () => pings === 2)
  // The pong has to arrive before the next beat.
  await until('the next beat is due', () => clock.pending >= 2)
  well.tell({ type: 'ping' })
  await well.message(({ type }) => type === 'pong')
  clock.advance(15_000)
  await dead.over
  assert.equal(dead.closed?.code, 1006)
  await until('one is left', () => server.live.readerCount === 1)
  assert.equal(well.ws.readyState, WebSocket.OPEN)
})

test('a revoked key closes its sockets, and no others', async () => {
  const { store } = server
  const key = await createKey({ store, clock: systemClock }, { name: 'gone' })
  const [gone, well] = [await open({ key }), await open()]
  await store.db
    .updateTable('keys')
    .set({ revoked_at: new Date() })
    .where('name', '=', 'gone')
    .execute()
  clock.advance(15_000)
  await gone.over
  assert.deepEqual(gone.closed, { code: 4401, reason: 'key_revoked' })
  assert.match(JSON.stringify(gone.said.at(-1)), /"authentication_error".*"key_revoked"/)
  assert.equal(well.ws.readyState, WebSocket.OPEN)
})

test('a subscription whose log cannot be read says so, and the socket can subscribe again', async () => {
  const { session_id: sessionId } = await server.order()
  const client = await open()
  client.subscribe(sessionId, { after: 0 })
  await until('two events', () => client.seqs(sessionId).length === 2)
  const { schema } = server.store.db
  await schema.alterTable('events').renameTo('events_away').execute()
  server.live.delta(sessionId, { type: 'event_delta' }) // Wakes the reader.
  const left = await client.message(({ type }) => type === 'unsubscribed')
  await schema.alterTable('events_away').renameTo('events').execute()
  assert.equal(left['reason'], 'failed')
  assert.match(JSON.stringify(client.said.at(-2)), /"api_error".*"unreadable"/)
  client.subscribe(sessionId, { after: 1 })
  await until('it goes on', () => client.seqs(sessionId).length === 3)
})

test('a connection that is reset in the middle of its handshake leaves nothing', async () => {
  const { port } = new URL(web.url)
  for (let n = 0; n < 5; n += 1) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(
      `GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\nx-api-key: ${server.key}\r\n\r\n`,
      () => socket.resetAndDestroy(),
    )
    await new Promise((resolve) => socket.once('close', resolve))
  }
  assert.ok(await open())
})

test('a drain closes every socket with a code that says so, and opens none', async () => {
  const { session_id: sessionId } = await server.order()
  const client = await open()
  client.subscribe(sessionId)
  await client.message(isSubscribed)
  server.drain.abort()
  await client.over
  assert.deepEqual(client.closed, { code: 1001, reason: 'draining' })
  assert.match(JSON.stringify(client.said.at(-1)), /"overloaded_error".*"draining"/)
  assert.equal((await refusal({ 'x-api-key': server.key })).status, 429)
})
