import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, link, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { openGateway } from '../../src/gateway/server.ts'
import { Metrics } from '../../src/metrics.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { ask, askRaw, log, nothing, startGateway, until } from './harness.ts'

function open(socketPath: string, ownerUid: number | null = null) {
  const hooks = {
    beforeModelRequest: async () => {},
    beforeParking: async () => {},
    isHeld: async () => true,
    mayPush: async () => null,
    mayComment: async () => null,
    onCommented: () => {},
    onUsage: async () => {},
    onQuota: () => {},
    onSilence: () => {},
    onRefused: () => {},
    onDenied: () => {},
    onDecision: () => {},
    isAuditBehind: () => false,
  }
  const budget = { limitUsd: null, spentUsd: 0.25 }
  return openGateway({
    socketPath,
    ownerUid,
    policy: nothing,
    hooks,
    budget,
    clock: systemClock,
    log,
    metrics: new Metrics(),
  })
}

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-socket-'))
  await chmod(directory, 0o711)
  try {
    await run(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

test('the socket belongs to the sandbox alone', { skip: process.getuid?.() !== 0 }, () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'gateway')
    await using gateway = await open(path, 20_001)
    const { mode, uid } = await stat(path)
    assert.deepEqual([mode & 0o777, uid], [0o600, 20_001])
    assert.equal(gateway.spentUsd, 0.25)
  }),
)

test('a socket that a crash left behind is taken over', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'gateway')
    const dead = createServer().listen(path)
    await until(() => dead.listening)
    const kept = join(directory, 'kept')
    await link(path, kept)
    await new Promise((resolve) => dead.close(resolve))
    await link(kept, path)
    await using _gateway = await open(path)
    assert.equal((await ask(path, { path: '/' })).status, 403)
  }))

test('anything else at the path is left alone', () =>
  inDirectory(async (directory) => {
    const path = join(directory, 'gateway')
    await writeFile(path, 'mine')
    await assert.rejects(open(path), /exists and is not a socket/)
  }))

test('a path that cannot be listened on is an error', () =>
  inDirectory(async (directory) => {
    await mkdir(join(directory, 'a'))
    await assert.rejects(open(join(directory, 'a', 'b', 'gateway')), /ENOENT|EACCES/)
  }))

test('what is not HTTP, or has endless headers, is refused', async () => {
  await using gateway = await startGateway()
  assert.match(await askRaw(gateway.socketPath, 'hello\r\n\r\n'), /^HTTP\/1.1 400 /)
  const headers = `x: ${'y'.repeat(40_000)}\r\n`
  const answer = await askRaw(gateway.socketPath, `GET / HTTP/1.1\r\nhost: x\r\n${headers}\r\n`)
  assert.match(answer, /^HTTP\/1.1 4/)
})

test('the 129th connection at once is turned away', async () => {
  await using gateway = await startGateway()
  const sockets = Array.from({ length: 129 }, () => connect(gateway.socketPath))
  const closed: number[] = []
  for (const [n, socket] of sockets.entries())
    socket.on('error', () => {}).on('close', () => closed.push(n))
  await until(() => closed.length === 1)
  for (const socket of sockets) socket.destroy()
})

const slow = { host: 'slow.example', port: 80 }
/** A gateway that lets it be reached, and looks its name up for ever. */
function slowly() {
  const asked = Promise.withResolvers<void>()
  const lookup = () => {
    asked.resolve()
    return new Promise<never>(() => {})
  }
  return { asked: asked.promise, o: { policy: { connect: [slow] }, lookup } }
}
const slowRequest = 'GET http://slow.example/ HTTP/1.1\r\nhost: x\r\n\r\n'
const denied = 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n'

for (const [what, next] of [
  ['a request', denied],
  ['a CONNECT', 'CONNECT slow.example:80 HTTP/1.1\r\nhost: x\r\n\r\n'],
  ['an upgrade', 'GET /x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['what has no host', 'GET /x HTTP/1.1\r\n\r\n'],
  ['what expects something', 'GET /x HTTP/1.1\r\nhost: x\r\nexpect: x\r\n\r\n'],
] as const)
  test(`${what} behind a request that is not answered ends the connection, and is told`, async () => {
    const { asked, o } = slowly()
    await using gateway = await startGateway(o)
    const socket = connect(gateway.socketPath)
    socket.on('error', () => {}).write(slowRequest)
    await asked
    socket.write(next)
    assert.equal(await text(socket), '')
    await until(() => gateway.decisions.length === 2)
    const [told] = gateway.decisions.filter(({ route }) => route === 'gateway')
    assert.match(told?.why ?? '', /one request at a time/)
  })

test('of requests in one packet one is read, even if each is answered at once', async () => {
  await using gateway = await startGateway()
  const answers = await askRaw(gateway.socketPath, denied.repeat(1000))
  assert.ok(answers.split('HTTP/1.1 ').length <= 2, answers)
  await until(() => gateway.decisions.length === 2)
})

/** A body of `count` chunks of a byte, and nothing after it. */
const tiny = (count: number) =>
  `POST /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(count)}`

test('a body in thousands of tiny pieces ends its connection, and is told', async () => {
  await using gateway = await startGateway()
  assert.equal(await askRaw(gateway.socketPath, tiny(2000)), '')
  await until(() => gateway.decisions.some(({ why }) => /too many pieces/.test(why ?? '')))
})

test('tiny pieces of all bodies count together, and a flood ends what else is still coming', async () => {
  const { asked, o } = slowly()
  await using gateway = await startGateway({ ...o, clock: new ManualClock() })
  const waiting = connect(gateway.socketPath).on('error', () => {})
  waiting.write(slowRequest)
  await asked
  const half = connect(gateway.socketPath).on('error', () => {})
  half.write(tiny(600))
  assert.equal(await askRaw(gateway.socketPath, tiny(600)), '')
  assert.equal(await text(half), '')
  // What waits for its answer sends nothing, and is left alone.
  assert.equal(waiting.closed, false)
  waiting.destroy()
})

test('a thousand tiny pieces a second pass, and small bodies whatever their number', async () => {
  const clock = new ManualClock()
  await using gateway = await startGateway({ clock })
  const sent = async (count: number): Promise<void> => {
    const answer = await askRaw(gateway.socketPath, `${tiny(count)}0\r\n\r\n`)
    assert.match(answer, /^HTTP\/1.1 403 /)
  }
  for (let second = 0; second < 4; second += 1) {
    await sent(1000)
    clock.advance(1000)
  }
  for (let n = 0; n < 100; n += 1) await sent(16)
})

test('requests that wait for their answers share a connection', async () => {
  await using gateway = await startGateway()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  using _end = { [Symbol.dispose]: () => agent.destroy() }
  const ports = new Set<unknown>()
  for (let n = 0; n < 100; n += 1) {
    const sent = request({ socketPath: gateway.socketPath, agent, headers: { upgrade: 'h2c' } })
    sent.end()
    const [answer] = await once(sent, 'response')
    assert.equal(answer.statusCode, 403)
    await text(answer)
    ports.add(sent.socket)
  }
  assert.equal(ports.size, 1)
})
