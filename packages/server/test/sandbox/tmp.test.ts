/** What a session may put into its /tmp, where its directory is: outside of the host's /tmp, or below. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountsBelow } from '../../src/sandbox/disk/image.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { sentenceOf } from '../../src/sandbox/limits/sentence.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { openBench, sh, skipWithoutImages, until } from './support.ts'

const MiB = 1024 ** 2
const limits = { diskBytes: 128 * MiB, tmpBytes: 16 * MiB }
/** As a server in production has it: below the host's /tmp, /tmp inside is memory. */
const outside = () => mkdtemp('/var/tmp/lh-')
const skip = await skipWithoutImages()

/** Bytes of 60 MB that fit into a directory. */
async function fits(sandbox: Sandbox, directory: string): Promise<number> {
  const { stdout } = await sh(
    sandbox,
    `cd ${directory}; head -c 60000000 /dev/zero >hog; stat -c %s hog`,
  )
  return Number.parseInt(stdout, 10)
}

test('/tmp holds as much as its limit says and takes nothing of the other files’ room', {
  skip,
}, async () => {
  await using bench = await openBench({ dataDir: await outside() })
  const sandbox = await bench.open(970, 'sesn_tmp', limits)
  const { stdout } = await sh(
    sandbox,
    'grep " /tmp " /proc/self/mountinfo; stat -c "%a %u" /tmp; id -u',
  )
  assert.match(stdout, /nosuid,nodev.* ext4 /)
  const [, mode, owner, self] = /^(\d+) (\d+)\n(\d+)\n$/m.exec(stdout) ?? []
  assert.deepEqual([mode, owner], ['700', self])
  const before = sandbox.limitHits()
  const bytes = await fits(sandbox, '/tmp')
  assert.ok(bytes > 8 * MiB && bytes < 16 * MiB, String(bytes))
  assert.equal(sandbox.exhausted(before), 'disk_full')
  assert.match(sentenceOf('disk_full', sandbox), /its \/tmp may take 16 MiB/)
  assert.equal(await fits(sandbox, '.'), 60_000_000)
  assert.equal((await sh(sandbox, `stat -c %s ${sandbox.paths.tmp}/hog`)).stdout, `${bytes}\n`)
})

test('a session below the host’s /tmp has the same bound in both of its directories', {
  skip,
}, async () => {
  await using bench = await openBench({ dataDir: await mkdtemp('/tmp/lh-') })
  const sandbox = await bench.open(971, 'sesn_below', limits)
  for (const directory of ['/tmp', '"$TMPDIR"']) {
    const bytes = await fits(sandbox, directory)
    assert.ok(bytes > 8 * MiB && bytes <= 16 * MiB, `${directory}: ${bytes}`)
  }
})

test('what is in /tmp is there when the session is opened again, and goes with it', {
  skip,
}, async () => {
  await using bench = await openBench({ dataDir: await outside() })
  const first = await bench.open(972, 'sesn_kept', limits)
  await sh(first, 'echo kept >/tmp/file')
  await first[Symbol.asyncDispose]()
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  const again = await bench.open(972, 'sesn_kept', limits)
  assert.equal((await sh(again, 'cat /tmp/file')).stdout, 'kept\n')
  // As after kill -9: nobody closed it.
  await using next = await openBench({ dataDir: bench.dataDir })
  await next.driver.recover()
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  const third = await next.open(972, 'sesn_kept', limits)
  assert.equal((await sh(third, 'cat /tmp/file')).stdout, 'kept\n')
  await third.destroy()
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  assert.deepEqual(await readdir(join(bench.dataDir, 'sessions')), [])
})

test('a session that began before /tmp had a disk of its own keeps it among its files', {
  skip,
}, async () => {
  await using bench = await openBench({ dataDir: await outside() })
  const first = await bench.open(974, 'sesn_older', limits)
  const { root } = first.paths
  await first[Symbol.asyncDispose]()
  for (const name of ['tmp-disk', 'tmp-disk.img', 'tmp'])
    await rm(join(root, name), { recursive: true })
  const older = await bench.open(974, 'sesn_older', limits)
  assert.equal(await fits(older, '/tmp'), 60_000_000)
  assert.equal((await mountsBelow(bench.dataDir)).length, 1)
  await older.destroy()
  assert.deepEqual(await readdir(join(bench.dataDir, 'sessions')), [])
})

test('where workspaces are counted, /tmp is counted by itself, and what fills it is killed', async () => {
  const clock = new JumpClock()
  // No mkfs.ext4 there.
  await using bench = await openBench({ path: '/usr/bin:/bin', dataDir: await outside(), clock })
  const sandbox = await bench.open(973, 'sesn_counted_tmp', limits)
  const script =
    'head -c 30000000 /dev/zero >hog; echo on; read go; mv hog /tmp/; echo on; sleep 300'
  const hog = sandbox.spawn(['bash', '-c', script], { network: false })
  const ended = new Promise<void>((resolve) => hog.once('exit', () => resolve()))
  await once(hog.stdout, 'data')
  clock.jump(5000)
  await until(async () => (await sandbox.usage()).diskBytes !== null)
  assert.equal(sandbox.exhausted(), null)
  hog.stdin.write('\n')
  await once(hog.stdout, 'data')
  clock.jump(60_000)
  await ended
  assert.equal(sandbox.exhausted(), 'disk_full')
  await sandbox.destroy()
})
