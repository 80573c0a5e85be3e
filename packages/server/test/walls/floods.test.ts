/**
 * What an attack may fill, and what it may leave running: 2.6 and 2.7 of the sandbox reference. Each
 * is small by its own script, so that it stays harmless where its wall is gone.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SandboxLimits } from '../../src/sandbox/driver.ts'
import {
  type Bench,
  commandPidsOfUid,
  openBench,
  pidsOfUid,
  sh,
  skipWithoutImages,
  uidBase,
  until,
} from '../sandbox/support.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { attack, rootOnly } from './attack.ts'

const MiB = 1024 ** 2
/** What is to be ended is, on a busy machine too; by itself it would live for longer. */
const goneMsMax = 25_000
let bench: Bench
before(async () => {
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
})
after(() => bench[Symbol.asyncDispose]())

test('a decompression bomb into memory ends at the size of that file system', async () => {
  const sandbox = await bench.open(953)
  const bomb =
    'head -c 90000000 /dev/zero | gzip -1 | gzip -dc >/dev/shm/bomb; stat -c %s /dev/shm/bomb'
  const { stdout } = await attack(sandbox, bomb)
  const bytes = Number.parseInt(stdout, 10)
  assert.ok(bytes <= 64 * MiB, `the canary limit of 64 MiB was crossed: ${bytes}`)
})

test('a file grows to its limit and no further', async () => {
  const sandbox = await bench.open(954, 'sesn_file', { fileBytes: 1 * MiB })
  const { stdout } = await attack(sandbox, 'head -c 4000000 /dev/zero >big; stat -c %s big')
  assert.equal(Number.parseInt(stdout, 10), MiB, 'the canary limit of 1 MiB was crossed')
})

test('a process opens as many files as its limit says', async () => {
  const sandbox = await bench.open(955, 'sesn_files', { openFiles: 64 })
  const script = 'n=0; for i in $(seq 100); do exec {fd}</dev/zero && n=$((n + 1)); done; echo $n'
  const { stdout } = await attack(sandbox, script)
  const opened = Number.parseInt(stdout, 10)
  assert.ok(opened < 64, `the canary limit of 64 files was crossed: ${opened}`)
})

test('a session that fills its own file system gets no more than its size', {
  skip: await skipWithoutImages(),
}, async () => {
  const sandbox = await bench.open(959, 'sesn_disk', { diskBytes: 48 * MiB, tmpBytes: 16 * MiB })
  const fill = 'for d in . "$HOME" "$TMPDIR"; do head -c 40000000 /dev/zero >"$d/hog"; done'
  const { stdout } = await attack(sandbox, `${fill}; cat hog "$HOME/hog" "$TMPDIR/hog" | wc -c`)
  const bytes = Number.parseInt(stdout, 10)
  assert.ok(bytes <= 64 * MiB, `the canary limit of 64 MiB was crossed: ${bytes}`)
})

test('what fills /tmp gets no more than its bound, though there is room for other files', {
  skip: await skipWithoutImages(),
}, async () => {
  const sandbox = await bench.open(917, 'sesn_tmp', { diskBytes: 64 * MiB, tmpBytes: 16 * MiB })
  assertBounded(await attack(sandbox, fillsTmp))
})

test('where /tmp is memory, what fills it gets no more than its bound', async () => {
  // Only a session below the host's /tmp has it so.
  await using below = await openBench({ dataDir: await mkdtemp('/tmp/lh-') })
  const sandbox = await below.open(918, 'sesn_tmp', { tmpBytes: 16 * MiB })
  assertBounded(await attack(sandbox, fillsTmp))
})

const fillsTmp = 'head -c 40000000 /dev/zero >/tmp/hog; stat -c %s /tmp/hog'

function assertBounded({ stdout }: { readonly stdout: string }): void {
  const bytes = Number.parseInt(stdout, 10)
  assert.ok(bytes <= 16 * MiB, `the canary limit of 16 MiB was crossed: ${bytes}`)
}

test('where workspaces are counted, what fills one is killed at the next count', () =>
  assertCounted(960, { file: 'hog', limits: { diskBytes: 64 * MiB } }))

test('where workspaces are counted, what fills /tmp is killed at the next count, too', () =>
  assertCounted(919, { file: '/tmp/hog', limits: { tmpBytes: 64 * MiB } }))

/** Fills a file beyond 64 MiB, and goes on. */
async function assertCounted(
  slot: number,
  { file, limits }: { readonly file: string; readonly limits: Partial<SandboxLimits> },
): Promise<void> {
  const clock = new JumpClock()
  // No mkfs.ext4 there.
  const o = { path: '/usr/bin:/bin', dataDir: await mkdtemp('/var/tmp/lh-'), clock }
  await using counted = await openBench(o)
  const sandbox = await counted.open(slot, 'sesn_counted', limits)
  const script = `head -c 80000000 /dev/zero >${file}; echo on; sleep 300`
  const hog = sandbox.spawn(['bash', '-c', script], { network: false })
  const exited = new Promise<true>((resolve) => hog.once('exit', () => resolve(true)))
  await once(hog.stdout, 'data')
  clock.jump(5000)
  const isSeen = await until(() => sandbox.exhausted() === 'disk_full', goneMsMax).then(
    () => true,
    () => false,
  )
  const isGone = isSeen && (await Promise.race([exited, sleep(goneMsMax, false)]))
  await sandbox.killAll()
  assert.ok(isGone, `a canary process went on beyond 64 MiB of ${file}`)
}

test('of a flood of output only the bound is kept', async () => {
  const sandbox = await bench.open(956)
  const { stdout } = await sh(sandbox, 'head -c 4000000 /dev/zero | tr "\\0" x', {
    outputBytesMax: 4000,
  })
  assert.ok(stdout.length < 4100, `the canary limit of 4000 bytes was crossed: ${stdout.length}`)
})

test('what left its session and its terminal ends with the command that started it', {
  skip: rootOnly,
}, async () => {
  const sandbox = await bench.open(957)
  await attack(sandbox, "(trap '' TERM HUP; setsid sleep 30 </dev/null >/dev/null 2>&1 &)")
  const left = await commandPidsOfUid(uidBase + 957)
  for (const pid of left) process.kill(pid, 'SIGKILL')
  assert.deepEqual(left, [], 'a canary process outlived its command')
})

test('the death of the server leaves nothing of a slot', { skip: rootOnly }, async () => {
  await using own = await openBench()
  const child = startServer(own.dataDir, 958)
  await once(child.stdout ?? child, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const gone = until(async () => (await pidsOfUid(uidBase + 958)).length === 0, goneMsMax)
  const isGone = await gone.then(
    () => true,
    () => false,
  )
  for (const pid of await pidsOfUid(uidBase + 958)) process.kill(pid, 'SIGKILL')
  assert.ok(isGone, 'a canary process outlived the server')
})

/** A server that runs a command with children in a slot, and says so. */
function startServer(dataDir: string, slot: number): ChildProcess {
  const support = join(import.meta.dirname, '../sandbox/support.ts')
  const source = `
    import { openBench } from ${JSON.stringify(support)}
    const bench = await openBench({ dataDir: ${JSON.stringify(dataDir)}, uidBase: ${uidBase} })
    const sandbox = await bench.open(${slot})
    const child = sandbox.spawn(['bash', '-c', 'setsid sleep 300 & echo on; sleep 300'], { network: false })
    child.stdout.pipe(process.stdout)
    setInterval(() => {}, 1000)`
  return spawn(process.execPath, ['--conditions=longhaul', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}
