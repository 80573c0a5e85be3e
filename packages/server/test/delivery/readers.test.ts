/** Two hundred readers that behave as readers do: badly. What they see is whole, and nothing is left. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { appendEvents } from '../../src/events/append.ts'
import { type Listening, listen } from '../../src/http/listen.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { until } from '../support/until.ts'
import { SocketClient } from './socket-client.ts'

const seed = 20_261
const readersCount = 200
/** Events of each session, and characters of each: those of the last fill every buffer on the way. */
const logs = [
  { events: 160, chars: 20 },
  { events: 160, chars: 200 },
  { events: 60, chars: 20_000 },
]

/** A reader that waits for so long waits for ever: on a busy machine all of it takes a minute. */
const stuckMs = 300_000

let server: TestApp
let web: Listening
before(async () => {
  server = await openTestApp()
  web = await listen(server.app, { host: '127.0.0.1', port: 0, clock: systemClock })
})
after(async () => {
  await web[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
})

/** Whole numbers below `n`, the same ones at every run (mulberry32). */
function randomness(from: number): (n: number) => number {
  let state = from
  return (n) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % n
  }
}

/** An event that came. */
interface Heard {
  readonly id: string
  readonly seq: number
}

/** One connection of a reader, which goes on from the numbers that it has. */
interface Connection {
  readonly heard: Hearing
  pause(): void
  resume(): void
  close(): void
  reset(): void
  /** Resolves when nothing comes any more. */
  readonly over: Promise<void>
}

type Cursors = ReadonlyMap<string, number>

/** The events of a connection, in the order in which they came. */
class Hearing {
  readonly all: Heard[] = []
  #wanted = Number.POSITIVE_INFINITY
  readonly #enough = Promise.withResolvers<void>()

  add(one: Heard): void {
    this.all.push(one)
    if (this.all.length >= this.#wanted) this.#enough.resolve()
  }

  /** Resolves when so many have come. To be called once. */
  reach(count: number): Promise<void> {
    this.#wanted = count
    if (this.all.length >= count) this.#enough.resolve()
    return this.#enough.promise
  }
}

function openStream(cursors: Cursors): Connection {
  const [[sessionId, last] = assert.fail()] = [...cursors]
  const heard = new Hearing()
  const over = Promise.withResolvers<void>()
  const asked: ClientRequest = request(
    `${web.url}/v1/sessions/${sessionId}/events/stream?after=0`,
    {
      agent: false,
      headers: { authorization: `Bearer ${server.key}`, 'last-event-id': String(last) },
    },
  )
  asked.on('error', () => undefined)
  asked.once('close', over.resolve)
  let answer: IncomingMessage | undefined
  let isPaused = false
  asked.on('response', (response) => {
    answer = response
    if (isPaused) response.pause()
    let rest = ''
    response.on('error', () => undefined)
    response.on('data', (chunk) => {
      const frames = (rest + chunk).split('\n\n')
      rest = frames.pop() ?? ''
      for (const frame of frames) {
        const id = /^id: (\d+)$/m.exec(frame)?.[1]
        if (id !== undefined) heard.add({ id: sessionId, seq: Number(id) })
      }
    })
  })
  asked.end()
  return {
    heard,
    pause: () => {
      isPaused = true
      answer?.pause()
    },
    resume: () => {
      isPaused = false
      answer?.resume()
    },
    close: () => void asked.destroy(),
    reset: () => void (asked.socket?.resetAndDestroy() ?? asked.destroy()),
    over: over.promise,
  }
}

async function openSocket(cursors: Cursors): Promise<Connection> {
  const client = await SocketClient.open(web.url, { key: server.key })
  for (const [sessionId, last] of cursors) client.subscribe(sessionId, { after: last })
  const { ws } = client
  const heard = new Hearing()
  ws.on('message', () => {
    const said = client.said.at(-1)
    const [id, seq] = [said?.['session_id'], said?.['seq']]
    if (typeof id === 'string' && typeof seq === 'number') heard.add({ id, seq })
  })
  return {
    heard,
    pause: () => ws.pause(),
    resume: () => ws.resume(),
    close: () => ws.close(),
    reset: () => {
      const socket: unknown = Reflect.get(ws, '_socket')
      if (typeof socket === 'object' && socket !== null && 'resetAndDestroy' in socket)
        Reflect.apply(socket.resetAndDestroy as () => void, socket, [])
    },
    over: client.over,
  }
}

test(`two hundred readers that stall, reset and close at random lose nothing and leave nothing (seed ${seed})`, async () => {
  const random = randomness(seed)
  const sessions = await Promise.all(logs.map(() => server.order()))
  const ids = sessions.map(({ session_id }) => session_id)
  const lengths = ids.map((id, at) => [id, logs[at]?.events ?? 0] as const)
  // All of its connections, so that the count below is not that of a pool that has just begun.
  await Promise.all(
    Array.from({ length: 20 }, () => server.store.pool.query('select pg_sleep(0.1)')),
  )
  const descriptors = readdirSync('/proc/self/fd').length
  let bursts = 0

  async function write(): Promise<void> {
    const left = logs.map(({ events }) => events - 2)
    while (left.some((n) => n > 0)) {
      const at = random(left.length)
      const count = Math.min(left[at] ?? 0, 1 + random(9))
      const text = 'x'.repeat(logs[at]?.chars ?? 0)
      const events = Array.from({ length: count }, () => ({ type: 'agent.message', text }))
      await appendEvents(server.store.db, { sessionId: ids[at] ?? '', events, clock: systemClock })
      left[at] = (left[at] ?? 0) - count
      bursts += 1
    }
  }

  /** Uses a connection as long as the reader likes, badly, and leaves it. */
  async function use(
    connection: Connection,
    o: { readonly wanted: number; readonly own: (n: number) => number; readonly title: string },
  ): Promise<void> {
    if (o.own(3) === 0) {
      const from = bursts
      connection.pause()
      const isGrown = (): boolean => bursts >= from + 3 || isWritten
      await until('the log to grow, or to be whole', isGrown, stuckMs)
      if (o.own(2) === 0) connection.resume()
      else connection.reset()
    }
    const stuck = new AbortController()
    await Promise.race([
      ...[connection.over, connection.heard.reach(o.wanted)],
      systemClock.sleep(stuckMs, stuck.signal).then(() => {
        assert.fail(`${o.title} does not get ${o.wanted} more`)
      }),
    ])
    stuck.abort()
    if (o.own(2) === 0) connection.close()
    else connection.reset()
    await connection.over
  }

  /** Reads until it has every number, over as many connections as it takes; answers how many. */
  async function read(number: number): Promise<number> {
    const title = `reader ${number}`
    const own = randomness(seed + number)
    const isSocket = number % 2 === 0
    const chosen = lengths.filter((_, at) => (at + number) % 3 === 0 || (isSocket && own(3) === 0))
    const seen = new Map<string, number[]>(chosen.map(([id]) => [id, []]))
    const total = chosen.reduce((sum, [, length]) => sum + length, 0)
    const missing = (): number => seen.values().reduce((sum, { length }) => sum - length, total)
    let connections = 0
    for (; missing() > 0; connections += 1) {
      const cursors = new Map([...seen].map(([id, seqs]) => [id, seqs.at(-1) ?? 0]))
      const connection = isSocket ? await openSocket(cursors) : openStream(cursors)
      // Patience, in events; a reader that had many connections stays for the rest.
      const patience = connections > 5 ? total : 1 + own(total)
      const wanted = Math.min(patience, missing())
      await use(connection, { wanted, own, title })
      // What came beyond its patience it has not looked at.
      for (const { id, seq } of connection.heard.all.slice(0, wanted)) seen.get(id)?.push(seq)
    }
    for (const [id, length] of chosen)
      assert.deepEqual(
        seen.get(id),
        Array.from({ length }, (_, n) => n + 1),
        title,
      )
    return connections
  }

  let isWritten = false
  const writing = write().then(() => {
    isWritten = true
  })
  const connections = await Promise.all(Array.from({ length: readersCount }, (_, n) => read(n)))
  await writing
  assert.ok(connections.reduce((sum, n) => sum + n) > readersCount * 2)

  await until('nobody is followed', () => server.live.readerCount === 0)
  await until(
    'the connections are gone',
    () => readdirSync('/proc/self/fd').length <= descriptors,
  ).catch(() => assert.fail(`${readdirSync('/proc/self/fd').length} > ${descriptors} descriptors`))
  const listeners = () => getEventListeners(server.drain.signal, 'abort').length
  await until('no listener is left', () => listeners() === 0)
})
