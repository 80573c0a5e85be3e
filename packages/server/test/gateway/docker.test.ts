import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type FakeDockerOptions, startFakeDocker } from '@longhaul/testing'
import { type Headers, pack } from 'tar-stream'
import { systemClock } from '../../src/clock.ts'
import { Docker } from '../../src/gateway/docker.ts'
import { log } from './harness.ts'

const dockerfile = 'FROM node:24-slim\nCOPY a.txt /a.txt\nCMD ["cat", "/a.txt"]\n'
const { signal } = new AbortController()
const limits = { timeoutMs: 20_000, signal }

type Entries = readonly (readonly [Headers, string])[]
const file: Entries = [[{ name: './a.txt', uid: 20_001, mode: 0o4755 }, 'hello']]

/** Unlike the engine's, its end is not awaited: what a refusal leaves of it is thrown away. */
function tarOf(entries: Entries) {
  const tar = pack()
  for (const [header, text] of entries) tar.entry(header, text)
  tar.finalize()
  return () => tar
}

async function start(options: FakeDockerOptions = {}) {
  const fake = await startFakeDocker({ images: ['node:24-slim'], ...options })
  const of = (sessionId: string) =>
    new Docker({
      ...{ engine: { url: new URL(fake.url) }, baseImages: ['node:24-slim'] },
      ...{ sessionId, clock: systemClock, log },
    })
  const docker = of('sesn_one')
  const build = (name: string, o: { entries?: Entries; dockerfile?: string } = {}) =>
    docker.build({
      ...{ ...limits, name, dockerfile: o.dockerfile ?? dockerfile, tar: tarOf(o.entries ?? file) },
    })
  return { fake, of, docker, build, [Symbol.asyncDispose]: () => fake.close() }
}

test('an image is built from files, run without anything of the host, and removed', async () => {
  await using it = await start({
    run: ({ command, build }) => ({
      stdout: `${command.join(' ')}:${build.files['a.txt']}`,
      stderr: 'warned',
    }),
  })
  const built = await it.build('app')
  assert.ok(built.ok, built.text)
  assert.match(built.text, /Step 1\/4 : FROM node:24-slim.*Built app\.$/s)
  assert.deepEqual(it.fake.builds[0]?.files, { 'a.txt': 'hello' })
  assert.deepEqual(it.fake.images(), ['longhaul/sesn_one:app'])
  assert.deepEqual(await it.docker.run({ ...limits, name: 'app', command: ['say'] }), {
    ok: true,
    text: 'say:hellowarned',
  })
  assert.deepEqual(it.fake.containers(), [])
  assert.deepEqual(it.fake.refusals, [])
  assert.ok((await it.docker.remove({ name: 'app', signal })).ok)
  assert.deepEqual(it.fake.images(), [])
})

test('a session can name no image but its own, and cleans up its own only', async () => {
  await using it = await start({ run: () => ({ runs: true }) })
  assert.ok((await it.build('app')).ok)
  const other = it.of('sesn_two')
  for (const answer of [
    await other.run({ ...limits, name: 'app', command: [] }),
    await other.remove({ name: 'app', signal }),
  ]) {
    assert.ok(!answer.ok)
    assert.match(answer.text, /404: No such image/)
  }
  await other.clean()
  assert.deepEqual(it.fake.images(), ['longhaul/sesn_one:app'])
  // One that runs, too, as a crash leaves it.
  const running = it.docker.run({ ...limits, name: 'app', command: [] })
  while (it.fake.containers().length === 0) await new Promise(setImmediate)
  await it.docker.clean()
  await running
  assert.deepEqual([it.fake.images(), it.fake.containers()], [[], []])
})

test('two builds or containers are at work at once, and no third', async () => {
  await using it = await start({ run: () => ({ runs: true }) })
  assert.ok((await it.build('app')).ok)
  const stop = new AbortController()
  const run = () => it.docker.run({ ...limits, name: 'app', command: [], signal: stop.signal })
  const first = [run(), run()]
  assert.match((await run()).text, /More than 2/)
  assert.match((await it.build('more')).text, /More than 2/)
  stop.abort(new Error('enough'))
  assert.deepEqual(
    (await Promise.allSettled(first)).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  await it.docker.clean()
  assert.ok((await it.build('more')).ok)
})

test('a container that fails, or does not end in time, is told with what it printed', async () => {
  await using it = await start({
    run: ({ command: [first] }) =>
      first === 'hang' ? { runs: true, stdout: 'waiting' } : { exitCode: 3, stderr: 'broken' },
  })
  assert.ok((await it.build('app')).ok)
  assert.deepEqual(await it.docker.run({ ...limits, name: 'app', command: ['fail'] }), {
    ok: false,
    text: 'It ended with exit code 3.\nbroken',
  })
  const late = await it.docker.run({ name: 'app', command: ['hang'], timeoutMs: 100, signal })
  assert.deepEqual(late, { ok: false, text: 'It took longer than 0.1 s and was killed.\nwaiting' })
  assert.deepEqual(it.fake.containers(), [])
})

test('a stop ends the call with its reason, and the container with it', async () => {
  const stop = new AbortController()
  await using it = await start({
    run: () => {
      setImmediate(() => stop.abort(new Error('the attempt ended')))
      return { runs: true }
    },
  })
  assert.ok((await it.build('app')).ok)
  const running = it.docker.run({ ...limits, name: 'app', command: [], signal: stop.signal })
  await assert.rejects(running, /the attempt ended/)
  assert.deepEqual(it.fake.containers(), [])
})

for (const [what, entries] of [
  ['a symbolic link', [[{ name: 'a', type: 'symlink', linkname: '/etc/passwd' }, '']]],
  ['a hard link', [[{ name: 'a', type: 'link', linkname: '../b' }, '']]],
  ['a FIFO', [[{ name: 'a', type: 'fifo' }, '']]],
  ['a device', [[{ name: 'a', type: 'block-device' }, '']]],
  ['a way up', [[{ name: 'a/../../b' }, 'x']]],
  ['an absolute name', [[{ name: '/etc/passwd' }, 'x']]],
  ['a name that is too long', [[{ name: 'a/'.repeat(600) }, 'x']]],
] as const satisfies readonly (readonly [string, Entries])[]) {
  test(`files with ${what} among them are not built from`, async () => {
    await using it = await start()
    const answer = await it.build('app', { entries: [...file, ...entries] })
    assert.match(answer.text, /Only regular files and directories/)
    assert.deepEqual([answer.ok, it.fake.builds, it.fake.images()], [false, [], []])
  })
}

test('more bytes than fit, more images than fit, and a build that fails are told', async () => {
  await using it = await start()
  const large = { name: 'large', size: 300 * 1024 * 1024 }
  const tar = pack()
  tar.entry(large).on('error', () => undefined)
  const answer = await it.docker.build({ ...limits, name: 'app', dockerfile, tar: () => tar })
  assert.match(answer.text, /more than 268435456 bytes/)
  const missing = await it.build('app', { dockerfile: 'FROM node:24-slim\nCOPY b.txt /\n' })
  assert.match(missing.text, /The build failed: COPY failed: file not found/)
  for (let made = 0; made < 8; made += 1) assert.ok((await it.build(`app${made}`)).ok)
  assert.match((await it.build('one-more')).text, /8 images already/)
})

test('what earlier stages, failed builds and replaced images leave is removed, too', async () => {
  await using it = await start()
  const stages = 'FROM node:24-slim AS first\nRUN true\nFROM scratch\nCOPY --from=first /a /a\n'
  for (let made = 0; made < 9; made += 1)
    assert.ok((await it.build('app', { dockerfile: stages })).ok)
  const broken = 'FROM node:24-slim\nLABEL longhaul.session=other\nCOPY b.txt /\n'
  for (let made = 0; made < 9; made += 1)
    assert.ok(!(await it.build('broken', { dockerfile: broken })).ok)
  // The one that has a name, and what the last build left.
  assert.equal(it.fake.images().length, 2)
  await it.docker.clean()
  assert.deepEqual(it.fake.images(), [])
})

test('no image gets in by a here-document, which engines read differently', async () => {
  await using it = await start({ images: ['node:24-slim', 'evil'] })
  const hidden = 'FROM node:24-slim\nRUN <<RUN\nFROM scratch AS evil\nRUN\nFROM evil\n'
  assert.match((await it.build('app', { dockerfile: hidden })).text, /no here-document/)
  assert.deepEqual([it.fake.builds, it.fake.images()], [[], []])
})

test('an engine on a socket is spoken to; one that is not there is a sentence', async () => {
  await using it = await start()
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-docker-'))
  const socketPath = join(directory, 'docker.sock')
  const { port } = new URL(it.fake.url)
  const proxy = createServer().on('connection', (socket) => {
    socket.on('error', () => undefined)
    socket.pipe(connect(Number(port), '127.0.0.1')).pipe(socket)
  })
  proxy.removeAllListeners('request')
  const tcp = proxy.listen(socketPath)
  const docker = new Docker({
    ...{ engine: { socketPath }, baseImages: [], sessionId: 'sesn_one', clock: systemClock, log },
  })
  assert.match((await docker.remove({ name: 'app', signal })).text, /No such image/)
  await new Promise((resolve) => {
    tcp.close(resolve)
    tcp.closeAllConnections()
  })
  assert.match((await docker.remove({ name: 'app', signal })).text, /does not answer/)
  await docker.clean()
  await rm(directory, { recursive: true })
})
