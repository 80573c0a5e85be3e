import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import { traversalProblem } from '../../src/sandbox/directories.ts'
import { type Bench, commandPidsOfUid, never, openBench, sh, uidBase, until } from './support.ts'

const isRoot = process.getuid?.() === 0
const MiB = 1024 ** 2
/** A directory that says nothing of control groups: as on a host without any. */
const proc = '/var/empty-proc'
let bench: Bench

before(async () => {
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-'), proc })
})
after(() => bench[Symbol.asyncDispose]())

/** Takes memory, holds it, and says so. */
const hog = (mib: number, then = 'sleep 50') =>
  `exec perl -e '$| = 1; my @a; for (1..${mib}) { push @a, "x" x 1048576 } print "held\\n"; ${then}'`

test('without control groups the watchdog kills a session that takes too much memory', async () => {
  const sandbox = await bench.open(941, 'sesn_hog', { memoryBytes: 160 * MiB })
  const other = await bench.open(942, 'sesn_other', { memoryBytes: 160 * MiB })
  const theirs = sh(other, hog(100, 'sleep 3'))
  const result = await sh(sandbox, hog(200))
  assert.equal(result.exitCode, 137)
  assert.equal(sandbox.exhausted(), 'out_of_memory')
  assert.ok(((await sandbox.usage()).memoryPeakBytes ?? 0) > 160 * MiB)
  assert.equal((await theirs).exitCode, 0)
  assert.equal(other.exhausted(), null)
})

test('the watchdog adds up all commands of a session', async () => {
  const sandbox = await bench.open(943, 'sesn_sum', { memoryBytes: 160 * MiB })
  const results = await Promise.all([1, 2].map(() => sh(sandbox, hog(100))))
  assert.deepEqual(
    results.map(({ exitCode }) => exitCode),
    [137, 137],
  )
  assert.equal(sandbox.exhausted(), 'out_of_memory')
})

test('memory that forked processes share counts once', async () => {
  const sandbox = await bench.open(944, 'sesn_fork', { memoryBytes: 160 * MiB })
  const result = await sh(sandbox, hog(80, 'fork for 1..3; sleep 2; exit 0'))
  assert.match(result.stdout, /held/)
  assert.equal(result.exitCode, 0)
  assert.equal(sandbox.exhausted(), null)
})

test('without control groups a fork bomb is refused by uid, and the limit is named', {
  skip: !isRoot && 'the uid is the server’s own',
}, async () => {
  const sandbox = await bench.open(945, 'sesn_bomb', { processes: 32 })
  const bombing = sh(sandbox, 'for i in $(seq 64); do sleep 20 & done; wait')
  await until(() => sandbox.exhausted() !== null)
  assert.equal(sandbox.exhausted(), 'too_many_processes')
  assert.ok((await commandPidsOfUid(uidBase + 945)).length <= 32)
  await sandbox.killAll()
  await bombing
})

test('below a server that is not root the watchdog ends a fork bomb, and nothing of the server', async (context) => {
  if (!isRoot) return context.skip('the tests before this one have shown it')
  if ((await traversalProblem(import.meta.dirname)) !== null)
    return context.skip('the checkout cannot be passed by another uid')
  const uid = 20_948
  await using own = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  await chown(own.dataDir, uid, uid)
  const server = spawn(
    process.execPath,
    [
      ...['--conditions=longhaul', '--input-type=module', '-e'],
      `import { openBench, sh } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
       const bench = await openBench({ dataDir: ${JSON.stringify(own.dataDir)}, proc: ${JSON.stringify(proc)} })
       const sandbox = await bench.open(948, 'sesn_bomb', { processes: 32 })
       const other = await bench.open(949, 'sesn_other', { processes: 32 })
       const theirs = sh(other, 'sleep 2; echo on')
       const { exitCode } = await sh(sandbox, 'for i in $(seq 64); do sleep 20 & done; wait')
       console.log(exitCode, sandbox.exhausted(), other.exhausted(), (await theirs).stdout)`,
    ],
    { uid, gid: uid, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let printed = ''
  server.stdout.on('data', (chunk) => {
    printed += chunk
  })
  await once(server, 'close')
  assert.equal(printed.trim(), '137 too_many_processes null on')
})

test('what a session took is known without control groups, too', async () => {
  const sandbox = await bench.open(946, 'sesn_usage')
  const busy = sh(sandbox, 'while :; do :; done')
  await until(async () => ((await sandbox.usage()).cpuSeconds ?? 0) > 0.3)
  await sandbox.killAll()
  await busy
  assert.ok(((await sandbox.usage()).cpuSeconds ?? 0) > 0.3)
})

test('one process has the descriptors and the file size that its session’s limits say', async () => {
  const sandbox = await bench.open(947, 'sesn_files', { openFiles: 64, fileBytes: MiB })
  const { stdout, exitCode } = await sh(
    sandbox,
    'ulimit -n; ulimit -c; head -c 2000000 /dev/zero >big; r=$?; stat -c %s big; exit $r',
  )
  assert.equal(stdout, `64\n0\n${MiB}\n`)
  assert.equal(exitCode, 153) // SIGXFSZ
})

test('a host without control groups says what follows, and is refused where limits are required', async () => {
  const report = await bench.driver.probe(never)
  assert.equal(report.ok, true)
  for (const word of [/Memory is not held/, /Processor time is not held/, /Delegate=yes/])
    assert.match(JSON.stringify(report.gaps), word)
  const strict = createSandboxDriver({
    kind: 'bubblewrap',
    dataDir: bench.dataDir,
    requireLimits: true,
    proc,
    log: createLog('silent'),
    clock: systemClock,
  })
  const refused = await strict.probe(never)
  assert.equal(refused.ok, false)
  assert.match(refused.problem ?? '', /SANDBOX_REQUIRE_LIMITS is set.*Memory is not held/)
})
