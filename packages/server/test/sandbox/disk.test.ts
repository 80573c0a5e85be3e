import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountsBelow } from '../../src/sandbox/disk/image.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { never, openBench, sh, skipWithoutImages, until } from './support.ts'

const isRoot = process.getuid?.() === 0
const MiB = 1024 ** 2
const small = { diskBytes: 64 * MiB, tmpBytes: 16 * MiB }
const sessions = (bench: { dataDir: string }) => join(bench.dataDir, 'sessions')
const fill = 'dd if=/dev/zero of=hog bs=1M count=200 2>&1; echo left: $(stat -c %s hog); rm -f hog'
const loopFiles = async () => {
  const names = (await readdir('/sys/block')).filter((name) => name.startsWith('loop'))
  const texts = names.map((name) =>
    readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => ''),
  )
  return (await Promise.all(texts)).join('')
}
const skip = await skipWithoutImages()

test('a session cannot fill more of the disk than it has, and is said to have hit the limit', {
  skip,
}, async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(980, 'sesn_full', small)
  assert.equal(sandbox.exhausted(), null)
  const before = sandbox.limitHits()
  const { stdout } = await sh(sandbox, `${fill.replace('rm -f hog', 'true')}`)
  assert.match(stdout, /No space left on device/)
  const [, left = ''] = /left: (\d+)/.exec(stdout) ?? []
  assert.ok(Number(left) > 40 * MiB && Number(left) < 64 * MiB, stdout)
  assert.equal(sandbox.exhausted(before), 'disk_full')
  const { diskBytes } = await sandbox.usage()
  assert.ok(diskBytes !== null && diskBytes > 40 * MiB, String(diskBytes))
  assert.match((await sh(sandbox, 'rm hog && echo again >file && cat file')).stdout, /again/)
  assert.equal(sandbox.exhausted(sandbox.limitHits()), null)
})

test('every directory that the agent can write is on its disk, and nothing else of the host is', {
  skip,
}, async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(981, 'sesn_all', small)
  const { paths } = sandbox
  const places = [paths.workspace, paths.home, paths.config, paths.tmp].join(' ')
  const script = `for d in ${places}; do (cd $d && dd if=/dev/zero of=hog bs=1M count=20 2>/dev/null; stat -c %s hog); done`
  const sizes = (await sh(sandbox, script)).stdout.trim().split('\n').map(Number)
  const sum = sizes.reduce((a, b) => a + b, 0)
  assert.equal(sizes.length, 4)
  assert.ok(sum < 64 * MiB + 16 * MiB, `${sizes}`)
  const more = await sh(sandbox, 'dd if=/dev/zero of=$HOME/x bs=1M count=1', { home: 'checks' })
  assert.match(more.stderr, /No space left/)
})

test('the disk is mounted so that nothing in it is a device or raises rights', {
  skip,
}, async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(982, 'sesn_flags', small)
  const { stdout } = await sh(sandbox, `grep ' ${sandbox.paths.workspace} ' /proc/self/mountinfo`)
  assert.match(stdout, /nosuid,nodev/)
  assert.match(stdout, / ext4 /)
})

test('a closed session leaves no mount and no device, and finds its files when it is opened again', {
  skip,
}, async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(983, 'sesn_again', small)
  await sh(sandbox, 'echo kept >file; ln -s /etc/passwd link')
  assert.equal((await mountsBelow(bench.dataDir)).length, 2)
  await sandbox[Symbol.asyncDispose]()
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  // The namespaces of what was killed give it up a moment later.
  await until(async () => !(await loopFiles()).includes(bench.dataDir))
  const again = await bench.open(983, 'sesn_again', small)
  assert.equal((await sh(again, 'cat file')).stdout, 'kept\n')
  await again.destroy()
  assert.deepEqual(await readdir(sessions(bench)), [])
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
})

test('a disk that a killed server left mounted is taken up whole, or put away at the start', {
  skip,
}, async () => {
  await using bench = await openBench()
  const first = await bench.open(984, 'sesn_killed', small)
  await sh(first, 'echo kept >file')
  // As after kill -9: nobody closed it. Another driver is another server.
  await using next = await openBench({ dataDir: bench.dataDir })
  const second = await next.open(984, 'sesn_killed', small)
  assert.equal((await sh(second, 'cat file')).stdout, 'kept\n')
  assert.equal((await mountsBelow(bench.dataDir)).length, 2)
  await next.driver.recover()
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  const third = await next.open(984, 'sesn_killed', small)
  assert.equal((await sh(third, 'cat file')).stdout, 'kept\n')
})

test('a file system that was not put away is made anew: what it has is not to be trusted', {
  skip,
}, async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(985, 'sesn_cut', small)
  await sh(sandbox, 'echo maybe >file; sync')
  const image = join(sandbox.paths.root, 'disk.img')
  // As after a power cut: a copy of what was on the disk at this moment.
  const copy = `${image}.copy`
  execFileSync('cp', ['--sparse=always', image, copy])
  await sandbox[Symbol.asyncDispose]()
  const putAway = await bench.open(985, 'sesn_cut', small)
  assert.equal((await sh(putAway, 'cat file')).stdout, 'maybe\n')
  await putAway[Symbol.asyncDispose]()
  execFileSync('mv', [copy, image])
  const again = await bench.open(985, 'sesn_cut', small)
  assert.equal((await sh(again, 'ls; echo more >file; cat file')).stdout, 'more\n')
  await again[Symbol.asyncDispose]()
  assert.equal((await stat(image)).size, 64 * MiB)
})

test('a session that began in plain directories keeps them, and a size is that of the beginning', {
  skip,
}, async () => {
  await using bench = await openBench()
  const root = join(sessions(bench), 'sesn_plain')
  await mkdir(join(root, 'workspace'), { recursive: true, mode: 0o711 })
  await chmod(sessions(bench), 0o711)
  await chmod(root, 0o711)
  const plain = await bench.open(986, 'sesn_plain', small)
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  await plain.destroy()
  const sized = await bench.open(986, 'sesn_sized', small)
  await sized[Symbol.asyncDispose]()
  await bench.open(986, 'sesn_sized', { diskBytes: 128 * MiB })
  assert.equal((await stat(join(sessions(bench), 'sesn_sized', 'disk.img'))).size, 64 * MiB)
})

test('without images a workspace is counted, and what fills it is killed once', async () => {
  const clock = new JumpClock()
  // No mkfs.ext4 there.
  await using bench = await openBench({ path: '/usr/bin:/bin', clock })
  const sandbox = await bench.open(987, 'sesn_counted', small)
  assert.deepEqual(await mountsBelow(bench.dataDir), [])
  assert.equal((await sandbox.usage()).diskBytes, null)
  const script = 'dd if=/dev/zero of=hog bs=1M count=40; echo on; sleep 300'
  const hog = sandbox.spawn(['sh', '-c', script], { network: false })
  const ended = new Promise<void>((resolve) => hog.once('exit', () => resolve()))
  await once(hog.stdout, 'data')
  clock.jump(5000)
  await until(async () => (await sandbox.usage()).diskBytes !== null)
  assert.equal(sandbox.exhausted(), null)
  await sh(sandbox, 'cp hog more')
  assert.equal(hog.exitCode, null)
  clock.jump(60_000)
  await ended
  assert.equal(sandbox.exhausted(), 'disk_full')
  const { diskBytes } = await sandbox.usage()
  assert.ok((diskBytes ?? 0) > 64 * MiB, String(diskBytes))
  // Whoever keeps the work goes on there.
  clock.jump(60_000)
  assert.equal((await sh(sandbox, 'echo ok')).stdout, 'ok\n')
  await sandbox.destroy()
})

test('a host that cannot mount images says why, what follows and how to mend it', async () => {
  await using bench = await openBench({ path: '/usr/bin:/bin' })
  const { gaps, limits, problem } = await bench.driver.probe(never)
  assert.equal(problem, null)
  assert.equal(limits.disk, 'counted')
  const said = gaps.find(({ what }) => /file system for each session/.test(what))
  assert.match(said?.what ?? '', isRoot ? /mkfs\.ext4/ : /not root/)
  assert.match(said?.consequence ?? '', /counted every few seconds/)
  assert.match(said?.fix ?? '', /e2fsprogs/)
})
