import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { chown, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { SpawnedProcess } from '@anthropic-ai/claude-agent-sdk'
import { traversalProblem } from '../../src/sandbox/directories.ts'
import type { Sandbox, SandboxProcess } from '../../src/sandbox/driver.ts'
import { JumpClock } from '../support/jump-clock.ts'
import {
  type Bench,
  commandPidsOfUid,
  openBench,
  pidsOfUid,
  sh,
  uidBase,
  until,
} from './support.ts'

const isRoot = process.getuid?.() === 0
const slot = 911
let bench: Bench
let sandbox: Sandbox

before(async () => {
  bench = await openBench()
  sandbox = await bench.open(slot)
})
after(() => bench[Symbol.asyncDispose]())

const exit = async (child: SandboxProcess) =>
  new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('exit', (code, signal) => resolve([code, signal]))
  })
const firstLine = async (child: { stdout: NodeJS.ReadableStream }) =>
  String((await once(child.stdout, 'data'))[0])

test('exit codes, signals and missing commands come through', async () => {
  assert.equal((await sh(sandbox, 'exit 7')).exitCode, 7)
  assert.equal((await sh(sandbox, 'exit 1')).exitCode, 1)
  assert.equal((await sh(sandbox, 'kill -9 $$')).exitCode, 137)
  assert.equal((await sh(sandbox, 'no-such-command')).exitCode, 127)
  assert.equal((await sh(sandbox, 'true', { cwd: '/no/such' })).exitCode, 126)
  assert.equal((await sh(sandbox, 'exit 3', { network: true })).exitCode, 3)
})

test('input reaches the command, which need not read it', async () => {
  assert.equal((await sh(sandbox, 'cat', { input: 'hello' })).stdout, 'hello')
  assert.equal((await sh(sandbox, 'exit 0', { input: Buffer.alloc(1_000_000) })).exitCode, 0)
})

test('output is heard as it comes and kept within its bound, head and tail', async () => {
  let heard = 0
  const result = await sh(sandbox, 'for i in $(seq 100000); do echo $i; done; echo err >&2', {
    outputBytesMax: 4000,
    onOutput: (chunk) => {
      heard += chunk.length
    },
  })
  assert.equal(heard, 588_895 + 4)
  assert.equal(result.truncated, true)
  assert.match(result.stdout, /^1\n2\n/)
  assert.match(result.stdout, /\n\[… 584895 bytes left out …\]\n/)
  assert.match(result.stdout, /\n99999\n100000\n$/)
  assert.equal(result.stderr, 'err\n')
  assert.equal((await sh(sandbox, 'echo short')).truncated, false)
})

test('a timeout ends the whole tree, and is a result', async () => {
  const clock = new JumpClock()
  await using own = await openBench({ clock })
  const result = await sh(
    await own.open(916),
    "trap '' TERM; setsid sleep 300 & echo on; sleep 300",
    { timeoutMs: 100_000, onOutput: () => clock.jump(100_000) },
  )
  assert.equal(result.timedOut, true)
  assert.equal(result.exitCode, null)
  assert.equal(result.stdout, 'on\n')
  if (isRoot) assert.deepEqual(await commandPidsOfUid(uidBase + 916), [])
})

test('an abort ends the command and rejects with the reason', async () => {
  const stop = new AbortController()
  const result = sh(sandbox, 'echo on; sleep 300', {
    signal: stop.signal,
    onOutput: () => stop.abort(new Error('cancelled')),
  })
  await assert.rejects(result, /cancelled/)
  await assert.rejects(sh(sandbox, 'true', { signal: stop.signal }), /cancelled/)
  if (isRoot) assert.deepEqual(await commandPidsOfUid(uidBase + slot), [])
})

test('an abort at any moment of the start leaves nothing', async () => {
  for (let ms = 0; ms < 40; ms += 4) {
    const signal = AbortSignal.timeout(ms)
    await assert.rejects(sh(sandbox, 'sleep 300', { signal, network: true }))
  }
  if (isRoot) assert.deepEqual(await commandPidsOfUid(uidBase + slot), [])
})

test('what a command left in the background ends with it, even holding its output', async () => {
  const result = await sh(sandbox, '(trap "" TERM HUP; sleep 300) & setsid sleep 300 & echo done')
  assert.equal(result.stdout, 'done\n')
  assert.deepEqual([result.exitCode, result.timedOut], [0, false])
  if (isRoot) assert.deepEqual(await commandPidsOfUid(uidBase + slot), [])
})

test('a process has pipes, an exit event and the shape that the Agent SDK expects', async () => {
  const child = sandbox.spawn(['sh', '-c', 'read line; echo "got $line"; exit 4'], {
    network: true,
  })
  const fits: SpawnedProcess = child
  const ended = exit(child)
  fits.stdin.write('it\n')
  assert.equal(await firstLine(child), 'got it\n')
  assert.deepEqual(await ended, [4, null])
  assert.equal(child.exitCode, 4)
})

test('a killed process takes with it what it started', async () => {
  const child = sandbox.spawn(['bash', '-c', 'setsid sleep 300 & echo on; wait'], { network: true })
  const ended = exit(child)
  await firstLine(child)
  assert.equal(child.kill('SIGTERM'), true)
  assert.deepEqual(await ended, [null, 'SIGTERM'])
  await sandbox.killAll()
  if (isRoot) assert.deepEqual(await pidsOfUid(uidBase + slot), [])
})

test('killAll ends every process within 5 s, daemons too, and the sandbox goes on', async () => {
  const script =
    "trap '' TERM HUP INT; (setsid bash -c 'trap \"\" TERM; sleep 300' &) ; echo on; sleep 300"
  const children = [1, 2, 3].map(() => sandbox.spawn(['bash', '-c', script], { network: true }))
  await Promise.all(children.map(firstLine))
  // It rejects when that takes longer.
  await sandbox.killAll()
  if (isRoot) assert.deepEqual(await pidsOfUid(uidBase + slot), [])
  assert.equal((await sh(sandbox, 'echo again')).stdout, 'again\n')
})

const server = (dataDir: string, slotOfServer: number): string => `
  import { openBench } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
  const bench = await openBench({ dataDir: ${JSON.stringify(dataDir)}, uidBase: ${uidBase} })
  const sandbox = await bench.open(${slotOfServer})
  const child = sandbox.spawn(['bash', '-c', 'setsid sleep 300 & ls -l /proc/self/fd; echo on; sleep 300'],
    { network: true })
  child.stdout.pipe(process.stdout)
  setInterval(() => {}, 1000)`

const startServer = (o: {
  dataDir: string
  slot: number
  stdio?: ('pipe' | 'ignore' | number)[]
  uid?: number
}): ChildProcess =>
  spawn(
    process.execPath,
    ['--conditions=longhaul', '--input-type=module', '-e', server(o.dataDir, o.slot)],
    {
      stdio: o.stdio ?? ['ignore', 'pipe', 'inherit'],
      ...(o.uid === undefined ? {} : { uid: o.uid, gid: o.uid }),
    },
  )

const readUntilOn = async (child: ChildProcess): Promise<string> => {
  let text = ''
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  await until(() => text.includes('on\n'))
  return text
}

test('SIGKILL of the server leaves no process of the slot', { skip: !isRoot }, async () => {
  await using own = await openBench()
  const child = startServer({ dataDir: own.dataDir, slot: 912 })
  await readUntilOn(child)
  assert.ok((await pidsOfUid(uidBase + 912)).length > 3)
  child.kill('SIGKILL')
  await until(async () => (await pidsOfUid(uidBase + 912)).length === 0)
})

const reachable = async () => (await traversalProblem(import.meta.dirname)) === null

test('a server that is not root keeps its uid and leaves nothing either', async (context) => {
  if (!isRoot) return context.skip('every test of this file shows it')
  if (!(await reachable())) return context.skip('the checkout cannot be passed by another uid')
  await using own = await openBench()
  const uid = 20_915
  await chown(own.dataDir, uid, uid)
  const child = startServer({ dataDir: own.dataDir, slot: 915, uid })
  await readUntilOn(child)
  assert.equal((await stat(join(own.dataDir, 'sessions/sesn_915/workspace'))).uid, uid)
  child.kill('SIGKILL')
  await until(async () => (await pidsOfUid(uid)).length === 0)
})

test('a descriptor that the server inherited is not open inside', async () => {
  await using own = await openBench()
  const directory = openSync(own.dataDir, 'r')
  const stdio: ('pipe' | 'ignore' | number)[] = ['ignore', 'pipe', 'inherit' as never]
  while (stdio.length < 200) stdio.push('ignore')
  stdio.push(directory)
  const child = startServer({ dataDir: own.dataDir, slot: 913, stdio })
  const text = await readUntilOn(child)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.match(text, / 200 -> \/dev\/null$/m)
  assert.ok(!text.includes(`${own.dataDir}\n`))
  if (isRoot) await until(async () => (await pidsOfUid(uidBase + 913)).length === 0)
})

test('open ends leftovers of its slot, and not those of another server', {
  skip: !isRoot,
}, async () => {
  await using other = await openBench()
  const theirs = (await other.open(914)).spawn(['sleep', '300'], { network: false })
  const old = (await bench.open(914)).spawn(['sh', '-c', 'echo on; sleep 300'], { network: false })
  const ended = exit(old)
  await firstLine(old)
  await bench.open(914)
  await ended
  assert.equal(theirs.exitCode, null)
  assert.equal(theirs.signalCode, null)
})
