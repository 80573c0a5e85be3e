import assert from 'node:assert/strict'
import { chmod, link, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { openGateway } from '../../src/gateway/server.ts'
import { Metrics } from '../../src/metrics.ts'
import { ask, askRaw, log, nothing, startGateway, until } from './harness.ts'

function open(socketPath: string, ownerUid: number | null = null) {
  const hooks = {
    beforeModelRequest: async () => {},
    beforeParking: async () => {},
    isHeld: async () => true,
    mayPush: async () => null,
    mayComment: async () => null,
    onCommented: () => {},
    onUsage: () => {},
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
