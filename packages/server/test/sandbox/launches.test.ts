/** The launch that waits for a session's next command: when there is one, and what it is not. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Sandbox, SandboxProcess } from '../../src/sandbox/driver.ts'
import { scriptWith } from '../../src/sandbox/init-script.ts'
import { launchWaitMsMax } from '../../src/sandbox/limits.ts'
import { identify } from '../../src/sandbox/process-table.ts'
import { type Bench, openBench, pidsOfUid, sh, uidBase, until, waitingLaunches } from './support.ts'

const isRoot = process.getuid?.() === 0
const uid = isRoot ? uidBase + 981 : (process.getuid?.() ?? 0)
const sleeper = ['sh', '-c', 'echo on; sleep 300']
let bench: Bench
let sandbox: Sandbox
/** What was to happen after the longest wait of a launch, unless it was cancelled. */
let idle: (() => void) | null = null

const clock: Clock = {
  ...systemClock,
  after(ms, run) {
    if (ms !== launchWaitMsMax) return systemClock.after(ms, run)
    idle = run
    const cancel = (): void => {
      if (idle === run) idle = null
    }
    return { cancel, [Symbol.dispose]: cancel }
  },
}

before(async () => {
  bench = await openBench({ clock })
  sandbox = await bench.open(981)
})
after(() => bench[Symbol.asyncDispose]())

/** The one launch that waits, once it has the uid of its slot. */
async function waiting(): Promise<number> {
  let found: number[] = []
  await until(async () => {
    found = await waitingLaunches()
    return found.length === 1 && (await statusOf(found[0])).includes(`\nUid:\t${uid}\t`)
  })
  return found[0] ?? 0
}

async function statusOf(pid: number | undefined): Promise<string> {
  return readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
}

async function started(): Promise<SandboxProcess> {
  const child = sandbox.spawn(sleeper, { network: false })
  assert.equal(String((await once(child.stdout as NodeJS.ReadableStream, 'data'))[0]), 'on\n')
  return child
}

test('a sandbox that was opened has no process; its first command is followed by a launch that waits', async () => {
  assert.deepEqual(await waitingLaunches(), [])
  await sh(sandbox, 'true')
  assert.ok((await waiting()) > 0)
})

test('the next command is run by the launch that waits, and followed by another one', async () => {
  const first = await waiting()
  const child = await started()
  assert.equal(child.pid, first)
  const second = await waiting()
  assert.notEqual(second, first)
  await sandbox.killAll()
})

test('a launch waits in its session’s group, with its uid and no privilege, and knows no command', async () => {
  await sh(sandbox, 'true')
  const pid = await waiting()
  const status = await statusOf(pid)
  if (isRoot) assert.match(status, /^Groups:\s*$/m)
  if (isRoot) assert.match(status, /^CapBnd:\t0+$/m)
  if (isRoot) assert.match(status, /^NoNewPrivs:\t1$/m)
  assert.equal(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8'), '200\n')
  assert.match(await readFile(`/proc/${pid}/limits`, 'utf8'), /^Max core file size\s+0\s+0/m)
  assert.match(await readFile(`/proc/${pid}/environ`, 'utf8'), /^PATH=[^\0]*\0$/)
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  assert.deepEqual(words.slice(0, 5), ['bwrap', '--args', '3', '--', '/bin/sh'])
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8')
  const ofServer = await readFile('/proc/self/cgroup', 'utf8')
  if ((await sandbox.usage()).processes !== null) {
    assert.match(groups, /longhaul-\d+-\d+-sesn_981-/)
    assert.notEqual(groups, ofServer)
  }
})

test('nothing of a command is there for the one that its follower runs', async () => {
  const first = await sh(sandbox, 'echo left >/dev/shm/left; sleep 300 & env; pwd', {
    ...{ env: { ONLY: 'first' }, cwd: '/', home: 'checks', network: true },
  })
  assert.match(first.stdout, /^ONLY=first$/m)
  const pid = await waiting()
  const child = sandbox.spawn(['sh', '-c', 'env; pwd; ls /dev/shm; ls /proc/[0-9]* -d'], {
    ...{ env: { OTHER: 'second' }, network: false },
  })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await once(child as unknown as NodeJS.EventEmitter, 'close')
  assert.equal(child.pid, pid)
  assert.match(text, /^OTHER=second$/m)
  assert.doesNotMatch(text, /ONLY|left|HTTP_PROXY/)
  assert.ok(text.includes(`\n${sandbox.paths.workspace}\n`))
  assert.ok((text.match(/^\/proc\/\d+$/gm) ?? []).length <= 3, text)
})

test('one that died while it waited is replaced, and the command never knows', async () => {
  const pid = await waiting()
  process.kill(pid, 'SIGKILL')
  // It is gone, and this process, which has not paused since, has not heard of it.
  while (identify(pid) !== null);
  assert.equal((await sh(sandbox, 'echo fine')).stdout, 'fine\n')
  assert.notEqual(await waiting(), pid)
})

test('commands at once are run each by a launch of its own', async () => {
  await waiting()
  const results = await Promise.all([1, 2, 3, 4].map((n) => sh(sandbox, `echo ${n}; exit ${n}`)))
  assert.deepEqual(
    results.map(({ stdout, exitCode }) => [stdout, exitCode]),
    [1, 2, 3, 4].map((n) => [`${n}\n`, n]),
  )
  await waiting()
})

test('an abort kills its own command only, not its neighbour and not the launch that waits', async () => {
  const neighbour = await started()
  const stop = new AbortController()
  const cut = sh(sandbox, 'echo on; sleep 300', {
    signal: stop.signal,
    onOutput: () => stop.abort(new Error('cancelled')),
  })
  await assert.rejects(cut, /cancelled/)
  const pid = await waiting()
  assert.equal(neighbour.exitCode ?? neighbour.signalCode, null)
  const next = await started()
  assert.equal(next.pid, pid)
  await sandbox.killAll()
})

test('from inside, a launch that waits is neither seen nor ended', async () => {
  const first = await started()
  const pid = await waiting()
  const attacks = sh(sandbox, `kill -9 ${pid}; kill -0 ${pid}; ls -d /proc/${pid}; kill -9 -1`)
  const { stdout, stderr } = await attacks
  assert.equal(stdout, '')
  assert.equal((stderr.match(/No such process|cannot access/g) ?? []).length, 4, stderr)
  assert.equal(first.signalCode, null)
  await sandbox.killAll()
})

test('killAll ends the launch that waits, and a sandbox that is put away has none', async () => {
  await sh(sandbox, 'true')
  await waiting()
  await sandbox.killAll()
  assert.deepEqual(await waitingLaunches(), [])
  if (isRoot) assert.deepEqual(await pidsOfUid(uid), [])
  await using own = await openBench()
  const other = await own.open(982)
  for (const end of ['destroy', Symbol.asyncDispose] as const) {
    const opened = end === 'destroy' ? other : await own.open(982)
    await sh(opened, 'true')
    await opened[end]()
    assert.deepEqual(await waitingLaunches(), [])
  }
})

test('a launch for which no command comes within its bound is ended', async () => {
  await sh(sandbox, 'true')
  const pid = await waiting()
  await started()
  assert.notEqual(await waiting(), pid)
  assert.ok(idle !== null)
  idle()
  await until(async () => (await waitingLaunches()).length === 0)
  assert.equal((await sh(sandbox, 'echo late')).stdout, 'late\n')
  await sandbox.killAll()
})

test('SIGKILL of the server ends the launch that waits in it', { skip: !isRoot }, async () => {
  await using own = await openBench()
  const child = spawn(
    process.execPath,
    ['--conditions=longhaul', '--input-type=module', '-e', server(own.dataDir)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [pid] = await once(child.stdout, 'data')
  assert.ok((await pidsOfUid(uidBase + 983)).includes(Number(pid)))
  child.kill('SIGKILL')
  await until(async () => (await pidsOfUid(uidBase + 983)).length === 0)
})

const server = (dataDir: string): string => `
  import { openBench, sh, until, waitingLaunches } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
  import { readFileSync } from 'node:fs'
  const sandbox = await (await openBench({ dataDir: ${JSON.stringify(dataDir)}, uidBase: ${uidBase} })).open(983)
  await sh(sandbox, 'true')
  const ready = (pid) => /^Uid:\\t${uidBase + 983}\\t/m.test(readFileSync('/proc/' + pid + '/status', 'utf8'))
  await until(async () => (await waitingLaunches()).some(ready))
  console.log((await waitingLaunches())[0])
  setInterval(() => {}, 1000)`

test('the words of a command arrive as they were given, whatever is in them', async () => {
  const words = [
    '',
    ' ',
    "it's",
    '"$HOME" `id` \\',
    '-n',
    '--',
    'a\nb\n',
    '\t*?',
    'ā\u0081\u0088€😀',
  ]
  const { stdout } = await sandbox.exec(['printf', '%s\\0', ...words], {
    ...{ network: false, timeoutMs: 60_000, outputBytesMax: 10_000 },
    signal: new AbortController().signal,
  })
  assert.deepEqual(stdout.split('\0').slice(0, -1), words)
  const long = 'x'.repeat(120_000)
  const echo = await sandbox.exec(['printf', '%s', long], {
    ...{ network: false, timeoutMs: 60_000, outputBytesMax: 1_000_000 },
    signal: new AbortController().signal,
  })
  assert.equal(echo.stdout, long)
})

test('a script of which only a part arrived runs nothing', async () => {
  const init = join(bench.dataDir, 'init')
  await writeFile(init, 'echo "$@"\n')
  const script = scriptWith(['a', "b'c", 'd'], init)
  const run = (text: string): string => {
    try {
      const stdio = ['pipe', 'pipe', 'ignore'] as const
      return execFileSync('/bin/sh', { input: text, encoding: 'utf8', stdio: [...stdio] })
    } catch {
      return '' // A syntax error.
    }
  }
  assert.equal(run(script), "a b'c d\n")
  for (let length = 0; length < script.length - 2; length += 1)
    assert.equal(run(script.slice(0, length)), '', script.slice(0, length))
})
