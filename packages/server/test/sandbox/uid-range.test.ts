import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { narrowUids, slotsMax, wideUids } from '../../src/sandbox/limits.ts'
import { firstUidBase, takeUidRange } from '../../src/sandbox/uid-range.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { makeDirectory } from '../support/postgres.ts'
import { never } from './support.ts'

/** Below all that servers of this host choose for themselves, and above what hosts give out. */
const own = 900_000_000
const clock = new JumpClock()
const take = (dataDir: string, base: number | null = null) =>
  takeUidRange({ dataDir, base, clock, signal: never })

test('data directories that start at once get ranges of their own, and keep them', async () => {
  await using directory = await makeDirectory()
  const names = Array.from({ length: 10 }, (_, n) => join(directory.path, String(n)))
  await Promise.all(names.map((name) => mkdir(name)))
  await using opened = new AsyncDisposableStack()
  const ranges = await Promise.all(names.map((name) => take(name)))
  for (const range of ranges) opened.use(range)
  const bases = ranges.map(({ base }) => base)
  assert.equal(new Set(bases).size, names.length)
  for (const base of bases) {
    assert.equal((base - wideUids.base) % slotsMax, 0)
    assert.ok(base >= wideUids.base && base < wideUids.base + wideUids.ranges * slotsMax)
  }
  await opened.disposeAsync()
  await using again = await take(names[3] ?? '')
  assert.equal(again.base, bases[3])
})

test('data directories whose servers are down do not meet: a thousand of them have as many ranges', async () => {
  const names = Array.from({ length: 1000 }, (_, n) => `/var/lib/longhaul-${n}`)
  const bases = await Promise.all(names.map((dataDir) => firstUidBase({ dataDir, base: null })))
  // As chance has it among 200,000, two or three meet; among forty, nearly all would.
  assert.ok(new Set(bases).size > 990, `${new Set(bases).size} of ${bases.length}`)
})

test('a range that another server has is refused, and is free once that one is gone', async () => {
  await using directory = await makeDirectory()
  const other = join(directory.path, 'other')
  await mkdir(other)
  const first = await take(directory.path, own)
  const second = take(other, own)
  const refused = assert.rejects(second, /The uids 900000000 to 900000999, .* SLOT_UID_BASE\.$/)
  while ((await Promise.race([refused.then(() => true), pause()])) !== true) clock.jump(1000)
  const third = take(other, own)
  await first[Symbol.asyncDispose]()
  await using taken = await third
  assert.equal(taken.base, own)
})

test('a data directory from before there were ranges has the first one', async () => {
  await using directory = await makeDirectory()
  await mkdir(join(directory.path, 'sessions', 'sesn_old'), { recursive: true })
  const range = await take(directory.path).catch((error: Error) => error)
  // Another server of this host may have it; then the directory gets no other.
  if (range instanceof Error) assert.match(range.message, /^The uids 20000 to 20999, /)
  else {
    assert.equal(range.base, narrowUids.base)
    await range[Symbol.asyncDispose]()
  }
})

test('a range that was written down half is refused', async () => {
  await using directory = await makeDirectory()
  const file = join(directory.path, 'uids')
  await writeFile(file, '2700')
  await assert.rejects(take(directory.path), /has to hold the first uid/)
  assert.equal(await readFile(file, 'utf8'), '2700')
})

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
