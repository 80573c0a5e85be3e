/**
 * A workspace that is only counted, as where no file system can be mounted, and where what fills it may
 * hide: 80 MB in a session of 64 MiB. Each is to be killed, at the latest when the third count fails.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Clock, systemClock, type Timer } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { countFiles } from '../../src/sandbox/disk/count.ts'
import { openDisk } from '../../src/sandbox/disk/disk.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { ProcessScan, provenMemoryBytes } from '../../src/sandbox/limits/process-scan.ts'
import { sentenceOf } from '../../src/sandbox/limits/sentence.ts'
import { defaultLimits } from '../../src/sandbox/limits.ts'
import { sandboxedProcesses } from '../../src/sandbox/process-table.ts'
import { openBench, sh, until } from '../sandbox/support.ts'
import { isRoot, plant, rootOnly } from './attack.ts'

const MiB = 1024 ** 2
/** Numbers of system calls. */
const [exit, unshare] = process.arch === 'arm64' ? [93, 97] : [60, 272]
const fill = 'head -c 80000000 /dev/zero'

test('what fills a counted workspace from a directory that it closed is killed', () =>
  assertKilled(941, /may take 64 MiB/, `mkdir d; ${fill} >d/hog; chmod 000 d; echo on; sleep 60`))

test('what fills a counted workspace by a file without a name is killed', () =>
  assertKilled(942, /may take 64 MiB/, `exec 9>hog; rm hog; ${fill} >&9; echo on; sleep 60`))

test('what leaves no process for the count of its workspace is killed', () =>
  assertKilled(
    943,
    // Below another server nothing holds its processes, and the count is made.
    isRoot ? /could not be counted/ : /may take 64 MiB/,
    `${fill} >hog; exec perl -e '$| = 1; for (1..60) { my $p = fork; if (defined $p && $p == 0) { sleep 60; exit } } print "on"; sleep 60'`,
  ))

test('what fills a counted workspace by a file without a name, after its first thread ended, is killed', () =>
  assertKilled(
    947,
    /may take 64 MiB/,
    `exec 9>hog; rm hog; ${fill} >&9; exec ${withoutLeader('1')}`,
  ))

test('what fills it by a descriptor that only a thread has is killed', () => {
  // 0x400: of the descriptors. Its first thread has none to the file.
  const perl = `use threads; $| = 1; threads->create(sub { syscall(${unshare}, 0x400); open(H, ">hog");
    unlink "hog"; syswrite(H, "x" x 80000000) for 1; print "on"; sleep 60 }); sleep 60`
  return assertKilled(948, /may take 64 MiB/, `exec perl -e '${perl}'`)
})

test('what takes memory after its first thread ended is seen', async () => {
  const dataDir = await mkdtemp('/var/tmp/lh-')
  await using bench = await openBench({ path: '/usr/bin:/bin', dataDir })
  const sandbox = await bench.open(949)
  const running = sandbox.spawn(['bash', '-c', `exec ${withoutLeader('"x" x 80000000')}`], {
    network: false,
  })
  await once(running.stdout, 'data')
  const owner = { uid: sandbox.uid ?? process.getuid?.() ?? 0, mounted: sandbox.paths.config }
  const look = async () => {
    const { processes = [] } = (await new ProcessScan().of([owner])).get(owner) ?? {}
    return Math.max(...processes.map(({ memoryBytes }) => memoryBytes))
  }
  await until(async () => (await look()) > 80_000_000)
  const proven = await provenMemoryBytes(
    (await new ProcessScan().of([owner])).get(owner)?.processes ?? [],
  )
  assert.ok(proven > 80_000_000, String(proven))
  await sandbox.killAll()
  assert.deepEqual(await sandboxedProcesses(owner), [])
})

test('what is within its bound is not killed, and keeps the modes of its directories', async () => {
  const { isFull, said } = await counted(944, {
    script: 'mkdir d; echo x >d/f; chmod 555 d; exec 9>hog; rm hog; echo on; sleep 60',
    afterwards: 'stat -c %a d',
  })
  assert.deepEqual([isFull, said], [false, '555\n'])
})

test('what fills a counted workspace again is killed again, and what keeps the work is spared', async () => {
  const clock = new LookClock()
  const dataDir = await mkdtemp('/var/tmp/lh-')
  await using bench = await openBench({ path: '/usr/bin:/bin', clock, dataDir })
  const sandbox = await bench.open(945, 'sesn_945', { diskBytes: 64 * MiB })
  const isKilled = async (script: string): Promise<boolean> => {
    const running = sandbox.spawn(['bash', '-c', `${script}; echo on; sleep 60`], {
      network: false,
    })
    await once(running.stdout, 'data')
    await clock.look(() => false).catch(() => undefined)
    return running.exitCode !== null || running.signalCode !== null
  }
  assert.equal(await isKilled(`${fill} >hog`), true)
  assert.equal(await isKilled('head -c 1000000 /dev/zero >kept'), false)
  assert.equal(await isKilled(`${fill} >hog-2`), true, 'the canary limit was crossed again')
  assert.equal(sandbox.limitHits().disk_full, 2)
})

test('what is deleted and held open while a workspace is counted counts once', async () => {
  const dataDir = await mkdtemp('/var/tmp/lh-')
  await using bench = await openBench({ path: '/usr/bin:/bin', dataDir })
  const sandbox = await bench.open(946)
  const script = 'head -c 40000000 /dev/zero >f; exec 9<f; echo on; sleep 60'
  const running = sandbox.spawn(['bash', '-c', script], { network: false })
  await once(running.stdout, 'data')
  const { paths, uid } = sandbox
  const exec: Sandbox['exec'] = async (command, o) => {
    const result = await sandbox.exec(command, o)
    await sh(sandbox, 'rm f')
    return result
  }
  const counted = await countFiles({ paths, uid, exec })
  const mebibytes = (counted?.files ?? 0) / MiB
  assert.ok(mebibytes > 38 && mebibytes < 60, `${mebibytes} MiB`)
})

test('what runs is ended before the host’s own disk is full', { skip: rootOnly }, async () => {
  const root = await mkdtemp('/var/tmp/lh-')
  await plant('mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', root)
  try {
    const clock = new LookClock()
    const log = createLog('silent')
    const bounds = { bytesMax: 64 * MiB, tmpBytesMax: 64 * MiB }
    const disk = await openDisk({ ...bounds, root, kind: 'watch', path: '', clock, log })
    let killed = 0
    const killLive = async () => {
      killed += 1
    }
    disk.watch({ count: async () => ({ files: 0, tmp: 0 }), killLive })
    await clock.look(() => killed > 0)
    assert.equal(killed, 0)
    await writeFile(join(root, 'of-others'), Buffer.alloc(62 * MiB))
    await clock.look(() => killed > 0)
    assert.equal(disk.hits(), 1, 'the canary disk was filled')
    const limits = { ...defaultLimits, diskBytes: 64 * MiB }
    const message = sentenceOf('disk_full', { limits, diskCause: () => disk.cause() })
    assert.match(message, /^The disk of the server’s data directory is almost full/)
    await disk.close()
  } finally {
    await plant('umount', '-l', root)
    await rmdir(root)
  }
})

async function assertKilled(slot: number, why: RegExp, script: string): Promise<void> {
  const { isFull, message } = await counted(slot, { script })
  assert.ok(isFull, 'the canary limit of 64 MiB was crossed')
  assert.match(message, why)
}

/** A process whose first thread ends by a call of its own, while another takes a value and sleeps. */
function withoutLeader(value: string): string {
  const perl = `use threads; $| = 1; threads->create(sub { my $a = ${value}; sleep 1; print "on"; sleep 60 }); syscall(${exit}, 0)`
  return `perl -e '${perl}'`
}

/** Counts three times while the script goes on. */
async function counted(slot: number, o: { script: string; afterwards?: string }) {
  const clock = new LookClock()
  const dataDir = await mkdtemp('/var/tmp/lh-')
  // No mkfs.ext4 there.
  await using bench = await openBench({ path: '/usr/bin:/bin', clock, dataDir })
  const limits = { diskBytes: 64 * MiB, processes: 48 }
  const sandbox = await bench.open(slot, `sesn_${slot}`, limits)
  const running = sandbox.spawn(['bash', '-c', o.script], { network: false })
  await once(running.stdout, 'data')
  for (let counts = 0; counts < 3; counts += 1) {
    await clock.look(() => sandbox.limitHits().disk_full > 0)
    if (sandbox.limitHits().disk_full > 0) break
  }
  const isFull = sandbox.limitHits().disk_full > 0
  const message = sentenceOf('disk_full', sandbox)
  await sandbox.killAll()
  const { stdout: said } = await sh(sandbox, o.afterwards ?? 'true')
  // From inside: who is not root cannot remove what is in a directory that was closed.
  await sandbox.destroy()
  return { isFull, said, message }
}

/** Real time, but a date that stands still, so that a count is due 5 s after the last, and when it is told to. */
class LookClock implements Clock {
  #next: (() => void) | null = null
  readonly #date = Date.now()
  elapsed = systemClock.elapsed
  sleep = systemClock.sleep

  now(): number {
    return this.#date
  }

  after(ms: number, run: () => void): Timer {
    if (ms !== 5000) return systemClock.after(ms, run)
    this.#next = run
    const cancel = () => undefined
    return { cancel, [Symbol.dispose]: cancel }
  }

  /** Resolves when the count is over. */
  async look(isEnded: () => boolean): Promise<void> {
    const next = this.#next
    this.#next = null
    next?.()
    await until(() => this.#next !== null || isEnded())
  }
}
