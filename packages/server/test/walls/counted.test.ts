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
import { openDisk } from '../../src/sandbox/disk/disk.ts'
import { openBench, until } from '../sandbox/support.ts'
import { plant, rootOnly } from './attack.ts'

const MiB = 1024 ** 2
const fill = 'head -c 80000000 /dev/zero'

test('what fills a counted workspace from a directory that it closed is killed', () =>
  assertKilled(941, `mkdir d; ${fill} >d/hog; chmod 000 d; echo on; sleep 60`))

test('what fills a counted workspace by a file without a name is killed', () =>
  assertKilled(942, `exec 9>hog; rm hog; ${fill} >&9; echo on; sleep 60`))

test('what leaves no process for the count of its workspace is killed', () =>
  assertKilled(
    943,
    `${fill} >hog; exec perl -e '$| = 1; for (1..60) { my $p = fork; if (defined $p && $p == 0) { sleep 60; exit } } print "on"; sleep 60'`,
  ))

test('what is within its bound is not killed, and keeps the modes of its directories', async () => {
  const { isFull, said } = await counted(944, {
    script: 'mkdir d; echo x >d/f; chmod 555 d; exec 9>hog; rm hog; echo on; sleep 60',
    afterwards: 'stat -c %a d',
  })
  assert.deepEqual([isFull, said], [false, '555\n'])
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
    await disk.close()
  } finally {
    await plant('umount', '-l', root)
    await rmdir(root)
  }
})

async function assertKilled(slot: number, script: string): Promise<void> {
  const { isFull } = await counted(slot, { script })
  assert.ok(isFull, 'the canary limit of 64 MiB was crossed')
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
  await sandbox.killAll()
  const signal = AbortSignal.timeout(20_000)
  const bounds = { network: false, timeoutMs: 20_000, outputBytesMax: 1000, signal }
  const { stdout: said } = await sandbox.exec(['bash', '-c', o.afterwards ?? 'true'], bounds)
  // From inside: who is not root cannot remove what is in a directory that was closed.
  await sandbox.destroy()
  return { isFull, said }
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
    await until(() => this.#next !== null || isEnded(), 20_000)
  }
}
