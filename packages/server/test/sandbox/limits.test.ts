import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { kernelFiles } from '../../src/sandbox/limits/cgroup-files.ts'
import { detectLimits, ownProc } from '../../src/sandbox/limits/detect.ts'
import { findHierarchies } from '../../src/sandbox/limits/hierarchies.ts'
import {
  type Bench,
  commandPidsOfUid,
  openBench,
  pidsOfUid,
  sh,
  uidBase,
  until,
  waitingLaunches,
} from './support.ts'

const MiB = 1024 ** 2
const detected = await detectLimits({ proc: ownProc, files: kernelFiles, clock: systemClock })
const isHeld = detected.memory !== 'rlimit' && detected.processes !== 'rlimit'
const skip = isHeld ? false : `no control groups here: ${JSON.stringify(detected)}`
/** Takes memory, page by page, and holds it. */
const hog = (mib: number) =>
  `exec perl -e '$| = 1; my @a; for (1..${mib}) { push @a, "x" x 1048576 } print "held\\n"; sleep 50'`
const startHog = (sandbox: Sandbox) => {
  const child = sandbox.spawn(['bash', '-c', hog(100)], { network: false })
  const said = once(child.stdout, 'data').then(String)
  const end = new Promise<number | null>((resolve) => child.once('exit', resolve))
  return { said, end }
}
/** At most 64 children in all. */
const bomb = 'for i in $(seq 64); do sleep 20 & done; wait'

describe('control groups', { skip }, () => {
  let bench: Bench
  before(async () => {
    bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  })
  after(() => bench[Symbol.asyncDispose]())

  const groupsOf = async (name: string): Promise<string[]> => {
    const found = await findHierarchies(ownProc, kernelFiles)
    const lists = await Promise.all(
      found.map(async ({ own }) => (await readdir(own)).map((entry) => join(own, entry))),
    )
    return lists
      .flat()
      .filter((path) => path.includes(`longhaul-${process.pid}-`) && path.includes(`-${name}-`))
  }

  test('a process that takes more memory than its session may is killed, and the limit is named', async () => {
    const sandbox = await bench.open(921, 'sesn_hog', { memoryBytes: 160 * MiB })
    assert.equal(sandbox.exhausted(), null)
    const result = await sh(sandbox, hog(200))
    assert.equal(result.exitCode, 137)
    assert.equal(result.stdout, '')
    assert.equal(sandbox.exhausted(), 'out_of_memory')
    const { memoryPeakBytes } = await sandbox.usage()
    assert.ok(
      memoryPeakBytes !== null && memoryPeakBytes > 150 * MiB && memoryPeakBytes <= 160 * MiB,
    )
  })

  test('memory below the limit is given, and a count since then starts at nothing', async () => {
    const sandbox = await bench.open(922, 'sesn_fits', { memoryBytes: 160 * MiB })
    const result = await sh(sandbox, hog(100).replace('sleep 50', 'exit 0'))
    assert.equal(result.stdout, 'held\n')
    assert.equal(sandbox.exhausted(), null)
    await sh(sandbox, hog(200))
    const before = sandbox.limitHits()
    assert.equal(sandbox.exhausted(before), null)
    assert.equal(sandbox.exhausted(), 'out_of_memory')
  })

  test('files in memory count as memory', async () => {
    const sandbox = await bench.open(923, 'sesn_shm', { memoryBytes: 48 * MiB })
    const result = await sh(sandbox, 'head -c 60000000 /dev/zero >/dev/shm/full')
    assert.notEqual(result.exitCode, 0)
    assert.equal(sandbox.exhausted(), 'out_of_memory')
  })

  test('a fork bomb is refused at the limit, and the limit is named', async () => {
    const sandbox = await bench.open(924, 'sesn_bomb', { processes: 32 })
    const bombing = sh(sandbox, bomb)
    await until(() => sandbox.exhausted() !== null)
    assert.equal(sandbox.exhausted(), 'too_many_processes')
    assert.ok((await commandPidsOfUid(uidBase + 924)).length <= 32)
    await sandbox.killAll()
    await bombing
  })

  test('a session has the processors’ time that its limit says', async () => {
    const sandbox = await bench.open(925, 'sesn_cpu', { cpus: 0.25 })
    const begun = performance.now()
    const busy = sh(sandbox, 'for i in 1 2; do (while :; do :; done) & done; wait')
    let cpuSeconds = 0
    await until(async () => {
      cpuSeconds = (await sandbox.usage()).cpuSeconds ?? 0
      return cpuSeconds > 0.4
    })
    const wallSeconds = (performance.now() - begun) / 1000
    await sandbox.killAll()
    await busy
    // Where others want to work, too, it has less of a processor, not more.
    const ratio = cpuSeconds / wallSeconds
    assert.ok(ratio < 0.4, `${ratio} processors`)
  })

  test('two commands of one session share its memory, and another session has its own', async () => {
    const memoryBytes = 160 * MiB
    const sandbox = await bench.open(926, 'sesn_shared', { memoryBytes })
    const other = await bench.open(927, 'sesn_other', { memoryBytes })
    const theirs = startHog(other)
    const both = [startHog(sandbox), startHog(sandbox)]
    const killed = await Promise.race(both.map((one) => one.end.then(() => one)))
    assert.equal(await killed.end, 137)
    for (const spared of [theirs, ...both.filter((one) => one !== killed)])
      assert.equal(await Promise.race([spared.said, spared.end]), 'held\n')
    assert.deepEqual([sandbox.exhausted(), other.exhausted()], ['out_of_memory', null])
  })

  test('a session’s group is gone when its sandbox is, with the usage still known', async () => {
    const sandbox = await bench.open(928, 'sesn_gone')
    await sh(sandbox, 'i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done')
    assert.equal((await groupsOf('sesn_gone')).length, detected.hierarchies.length)
    await sandbox.destroy()
    assert.deepEqual(await groupsOf('sesn_gone'), [])
    const { cpuSeconds, processes } = await sandbox.usage()
    assert.ok((cpuSeconds ?? 0) > 0.02)
    assert.equal(processes, 0)
  })

  test('everything of a session is in its group, and nothing else: not the server', async () => {
    const sandbox = await bench.open(929, 'sesn_members')
    const child = sandbox.spawn(['sh', '-c', 'setsid sleep 20 & echo on; wait'], { network: true })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const groups = await groupsOf('sesn_members')
    // The launch of the next command is in the group before it has the slot's uid.
    await until(async () => {
      const waiting = new Set(await waitingLaunches())
      return (await pidsOfUid(uidBase + 929)).some((pid) => waiting.has(pid))
    })
    const ofSlot = (await pidsOfUid(uidBase + 929)).sort()
    assert.ok(ofSlot.length >= 5)
    for (const group of groups) {
      const members = (await readFile(join(group, 'cgroup.procs'), 'utf8')).trim().split('\n')
      assert.deepEqual(members.map(Number).sort(), ofSlot)
    }
    assert.doesNotMatch(await readFile('/proc/self/cgroup', 'utf8'), /sesn_members/)
  })

  test('a sandbox whose group is gone starts nothing', async () => {
    const sandbox = await bench.open(930, 'sesn_lost')
    for (const group of await groupsOf('sesn_lost')) await kernelFiles.rmdir(group)
    await assert.rejects(sh(sandbox, 'echo ran'), /could not start: ENOENT/)
  })

  test('the next sandbox removes the groups of a server that was killed', async () => {
    const killed = spawn(
      process.execPath,
      [
        ...['--conditions=longhaul', '--input-type=module', '-e'],
        `import { openBench } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
         const bench = await openBench({ dataDir: ${JSON.stringify(bench.dataDir)}, uidBase: ${uidBase} })
         const sandbox = await bench.open(933)
         const child = sandbox.spawn(['sh', '-c', 'echo on; sleep 20'], { network: false })
         child.stdout.pipe(process.stdout)`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    await once(killed.stdout, 'data')
    const left = async () => {
      const lists = await Promise.all(detected.hierarchies.map(({ own }) => readdir(own)))
      return lists.flat().filter((name) => name.startsWith(`longhaul-${killed.pid}-`))
    }
    killed.kill('SIGKILL')
    await once(killed, 'exit')
    assert.equal((await left()).length, detected.hierarchies.length)
    await bench.open(933)
    // Another session's group may still have a process that dies; the one after it finds it gone.
    await until(async () => {
      await (await bench.open(934, 'sesn_after')).destroy()
      return (await left()).length === 0
    })
  })

  test('open removes the groups of servers that are gone, and leaves those of others', async () => {
    const own = detected.hierarchies[0]?.own ?? ''
    const dead = join(own, 'longhaul-1-1-sesn_dead-0')
    const foreign = join(own, `not-longhaul-${process.pid}`)
    await kernelFiles.mkdir(dead)
    await kernelFiles.mkdir(foreign)
    try {
      const living = await bench.open(931, 'sesn_living')
      await bench.open(932, 'sesn_next')
      await assert.rejects(readdir(dead), /ENOENT/)
      await readdir(foreign)
      assert.equal((await sh(living, 'echo on')).stdout, 'on\n')
    } finally {
      await kernelFiles.rmdir(foreign)
    }
  })
})
