/** The system's resolver, which has few threads, and takes as long as a name server may. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { Lookups } from '../../src/gateway/lookups.ts'
import type { Lookup } from '../../src/gateway/resolve.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startGateway, startUpstream, until } from './harness.ts'

const loopback = [{ address: '127.0.0.1', family: 4 }]

/** A resolver that says what it is told to, when it is. */
function startResolver() {
  const asked: { host: string; answer: () => void }[] = []
  const lookup: Lookup = (host) => {
    const { promise, resolve } = Promise.withResolvers<typeof loopback>()
    asked.push({ host, answer: () => resolve(loopback) })
    return promise
  }
  return { asked, lookup }
}

function openSession(port: number, lookups: Lookups, o: { readonly listed?: boolean } = {}) {
  const hosts = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ host: `${name}.example`, port }))
  const allowPrivate = o.listed === false ? [] : hosts
  return startGateway({ lookups, policy: { connect: hosts, allowPrivate } })
}

test('a name is looked up once for all who ask meanwhile, of every session, and for five seconds', async () => {
  const clock = new ManualClock()
  const said = Promise.withResolvers<typeof loopback>()
  let asked = 0
  const lookup: Lookup = () => {
    asked += 1
    return said.promise
  }
  const lookups = new Lookups({ clock, lookup })
  await using upstream = await startUpstream((_request, response) => response.end('here'))
  await using one = await openSession(upstream.port, lookups)
  await using other = await openSession(upstream.port, lookups)
  const path = `http://a.example:${upstream.port}/`
  const all = [one, other, one, other, one].map((session) => session.ask({ path }))
  await until(() => asked > 0)
  said.resolve(loopback)
  for (const { status, text } of await Promise.all(all))
    assert.deepEqual([status, text], [200, 'here'])
  clock.advance(4_999)
  assert.equal((await other.ask({ path })).status, 200)
  assert.equal(asked, 1, `the canary was looked up ${asked} times`)
  clock.advance(1)
  assert.equal((await one.ask({ path })).status, 200)
  assert.equal(asked, 2)
})

test('what a look-up said is judged anew for each session', async () => {
  const lookups = new Lookups({ clock: systemClock, lookup: async () => loopback })
  await using upstream = await startUpstream((_request, response) => response.end('here'))
  await using listed = await openSession(upstream.port, lookups)
  await using other = await openSession(upstream.port, lookups, { listed: false })
  const path = `http://a.example:${upstream.port}/`
  assert.equal((await listed.ask({ path })).status, 200)
  const refused = await other.ask({ path })
  assert.equal(refused.status, 403)
  assert.match(refused.text, /loopback/)
})

test('a session has four names looked up at once, and those of clients that left count', async () => {
  const { asked, lookup } = startResolver()
  const lookups = new Lookups({ clock: systemClock, lookup })
  await using upstream = await startUpstream((_request, response) => response.end('here'))
  await using session = await openSession(upstream.port, lookups)
  await using other = await openSession(upstream.port, lookups)
  const to = (name: string) => `http://${name}.example:${upstream.port}/`
  for (const name of ['a', 'b', 'c', 'd']) {
    const left = new AbortController()
    const gone = session.ask({ path: to(name), signal: left.signal })
    await until(() => asked.some(({ host }) => host === `${name}.example`))
    left.abort()
    await assert.rejects(gone)
  }
  const refused = await session.ask({ path: to('e') })
  assert.equal(refused.status, 429, `the canary was let through: ${refused.text}`)
  assert.match(refused.text, /4 other names are being looked up; try again in a moment/)
  const others = other.ask({ path: to('e') })
  await until(() => asked.length === 5)
  // Who waits with another session takes nothing of its own.
  const shared = session.ask({ path: to('e') })
  for (const { answer } of asked) answer()
  assert.equal((await others).status, 200)
  assert.equal((await shared).status, 200)
})

test('a thousand names are kept, the newest', async () => {
  let asked = 0
  const lookup: Lookup = async () => {
    asked += 1
    return loopback
  }
  const session = new Lookups({ clock: new ManualClock(), lookup }).ofSession()
  const ask = async (n: number) => {
    const before = asked
    await session(`h${n}.example`)
    return asked > before ? 'looked up' : 'kept'
  }
  for (let n = 0; n <= 1_000; n += 1) assert.equal(await ask(n), 'looked up')
  assert.equal(await ask(1), 'kept')
  assert.equal(await ask(0), 'looked up', 'the canary was kept')
  assert.equal(await ask(1), 'looked up')
})

test('a name without an address is not looked up at once again', async () => {
  let asked = 0
  const lookup: Lookup = async () => {
    asked += 1
    throw new Error('no such name')
  }
  const session = new Lookups({ clock: new ManualClock(), lookup }).ofSession()
  await assert.rejects(session('a.example'), /no such name/)
  await assert.rejects(session('a.example'), /no such name/)
  assert.equal(asked, 1)
})
