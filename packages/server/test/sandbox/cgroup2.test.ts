/** Version 2 is not on every host that runs these tests: here it is a tree with its rules. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { detectLimits } from '../../src/sandbox/limits/detect.ts'
import { SessionGroup } from '../../src/sandbox/limits/group.ts'
import { groupName, removeOrphanedGroups } from '../../src/sandbox/limits/group-names.ts'
import { findHierarchies } from '../../src/sandbox/limits/hierarchies.ts'
import { firstHit } from '../../src/sandbox/limits/hits.ts'
import { defaultLimits } from '../../src/sandbox/limits.ts'
import { FakeCgroup2 } from './fake-cgroup2.ts'

const root = '/sys/fs/cgroup'
const own = `${root}/system.slice/longhaul.service`
const proc = '/proc-of-server'
const clock = systemClock

/** A unit of systemd's with the server (10) and its database (11) in it. */
const unit = (o: { controllers?: string; refusal?: string } = {}): FakeCgroup2 => {
  const tree = new FakeCgroup2({ root, own, controllers: 'cpu io memory pids', ...o })
  tree.files.set(`${own}/cgroup.procs`, '10\n11\n')
  return tree
}

test('the server moves into a leaf, delegates, and holds every limit by version 2', async () => {
  const files = unit()
  const found = await detectLimits({ proc, files, clock })
  assert.deepEqual(
    [found.memory, found.cpu, found.processes, found.gaps],
    ['cgroup2', 'cgroup2', 'cgroup2', []],
  )
  assert.equal(files.readNow(`${own}/longhaul-server/cgroup.procs`), '10\n11\n')
  assert.equal(files.readNow(`${own}/cgroup.subtree_control`), 'cpu memory pids')
  assert.deepEqual(files.groups(), [own, `${own}/longhaul-server`])
})

test('a server that is in its leaf already finds its group beside it', async () => {
  const files = unit()
  await detectLimits({ proc, files, clock })
  files.files.set(`${proc}/cgroup`, '0::/system.slice/longhaul.service/longhaul-server\n')
  assert.deepEqual(await findHierarchies(proc, files), [
    { version: 2, own, controllers: ['cpu', 'memory', 'pids'] },
  ])
  assert.equal((await detectLimits({ proc, files, clock })).memory, 'cgroup2')
})

const sessionIn = async (files: FakeCgroup2) => {
  const { hierarchies } = await detectLimits({ proc, files, clock })
  const limits = { ...defaultLimits, memoryBytes: 1000, cpus: 1.5, processes: 7 }
  const group = await SessionGroup.make({ name: 'session', hierarchies, limits, files, clock })
  return { group, at: `${own}/session` }
}

test('a session’s group has its limits, its processes, its usage and its verdict', async () => {
  const files = unit()
  const { group, at } = await sessionIn(files)
  assert.deepEqual(
    ['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max', 'cpu.weight'].map((name) =>
      files.readNow(`${at}/${name}`),
    ),
    ['1000', '0', '7', '150000 100000', '25'],
  )
  await group.enter(4711)
  assert.equal(files.readNow(`${at}/cgroup.procs`), '4711\n')
  assert.deepEqual(await group.usage(), {
    memoryBytes: 1000,
    memoryPeakBytes: 2000,
    processes: 3,
    cpuSeconds: 2.5,
  })
  assert.equal(firstHit(group.hits()), null)
  files.files.set(`${at}/pids.events`, 'max 5\n')
  assert.equal(firstHit(group.hits()), 'too_many_processes')
  files.files.set(`${at}/memory.events`, 'low 0\noom 1\noom_kill 1\noom_group_kill 0\n')
  assert.equal(firstHit(group.hits()), 'out_of_memory')
})

test('a group is ended by one write and removed, and what it said is kept', async () => {
  const files = unit()
  const { group, at } = await sessionIn(files)
  await group.enter(4711)
  files.files.set(`${at}/pids.events`, 'max 5\n')
  await group.remove()
  assert.ok(!files.groups().includes(at))
  assert.equal(firstHit(group.hits()), 'too_many_processes')
  assert.equal((await group.usage()).memoryPeakBytes, 2000)
})

test('what version 2 does not delegate is held otherwise, and named', async () => {
  const found = await detectLimits({ proc, files: unit({ controllers: 'cpu pids' }), clock })
  assert.deepEqual([found.memory, found.cpu, found.processes], ['rlimit', 'cgroup2', 'cgroup2'])
  assert.match(found.gaps[0]?.what ?? '', /^Memory is not held .* shows none/)
})

test('a tree that is read-only or another’s leaves rlimits, and the sentence says which', async () => {
  for (const [refusal, words] of [
    ['EROFS', /mounted read-only, as Docker does/],
    ['EACCES', /may not make groups below its own/],
  ] as const) {
    const found = await detectLimits({ proc, files: unit({ refusal }), clock })
    assert.deepEqual([found.memory, found.cpu, found.processes], ['rlimit', 'none', 'rlimit'])
    assert.equal(found.gaps.length, 3)
    for (const { what } of found.gaps) assert.match(what, words)
    assert.deepEqual(found.hierarchies, [])
  }
})

test('a group above the server’s own is never used', async () => {
  const files = unit()
  files.files.set(`${proc}/cgroup`, '0::/../../elsewhere\n')
  assert.deepEqual(await findHierarchies(proc, files), [])
  files.files.set(`${proc}/cgroup`, '0::/docker/abc\n')
  files.files.set(`${proc}/mountinfo`, `30 23 0:26 /docker/other ${root} rw - cgroup2 cgroup rw\n`)
  assert.deepEqual(await findHierarchies(proc, files), [])
})

test('groups of a server that is gone are removed unless something lives in them', async () => {
  const files = unit()
  const { hierarchies } = await detectLimits({ proc, files, clock })
  const [empty, full] = ['longhaul-999999999-1-a-0', 'longhaul-999999999-1-b-0']
  const mine = groupName('c')
  for (const name of [empty, full, mine]) await files.mkdir(`${own}/${name}`)
  await files.write(`${own}/${full}/cgroup.procs`, '12')
  assert.equal(await removeOrphanedGroups(hierarchies, { files, clock }), 1)
  const left = (await files.list(own)).sort()
  assert.deepEqual(left, [full, mine, 'longhaul-server'].sort())
})
