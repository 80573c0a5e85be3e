/** What hits a limit of its sandbox ends as that, or goes on and is told. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Conversation, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const memoryMiB = 448
const diskMiB = 160
/** Takes memory and holds it for a moment. */
const hog = (mebibytes: number) =>
  `perl -e 'my @a; for (1..${mebibytes}) { push @a, "x" x 1048576 } sleep 3'`
/** Each smaller than claude. */
const hogs = `for i in 1 2 3 4 5 6 7 8 9 10; do ${hog(50)} & done; wait`
/** They are there until one is refused, however long it takes to get there. */
const bomb = `perl -e 'my @made; for (1..64) { my $pid = fork; if (!defined $pid) { kill 9, @made; die "refused\\n" } if (!$pid) { sleep 600; exit } push @made, $pid } kill 9, @made'`

const heard: Conversation[] = []
const scenario = script(
  when(
    'Hog',
    use('Bash', { command: hog(500) }),
    (conversation) => {
      heard.push(conversation)
      return use('Bash', { command: mend })
    },
    say('Mended, with less.'),
  ),
  when('Spread', use('Bash', { command: hogs }), use('Bash', { command: mend }), say('Mended.')),
  // A process may lower its score again: what it then does to its agent it does to itself.
  when(
    'Outgrow yourself',
    use('Bash', { command: `echo 0 >/proc/self/oom_score_adj; ${hogs}` }),
    say('Still here.'),
  ),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start({
    SANDBOX_MEMORY_MIB: String(memoryMiB),
    SANDBOX_PROCESSES: '64',
    SANDBOX_DISK_MIB: String(diskMiB),
  })
})
after(() => world[Symbol.asyncDispose]())

const run = async (name: string, order: object) => {
  const repository = await world.repository(name, brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, ...order })
  const task = await server.ended(id)
  const events = await server.events(id)
  const reached = events.filter(({ type }) => type === 'workspace.limit_reached')
  return { task, events, reached }
}

test('checks that take too much memory fail the task as out_of_memory, with the number', async () => {
  const { task, events, reached } = await run('check', {
    instructions: 'Mend.',
    checks: [hog(500)],
  })
  assert.equal(task.reason, 'out_of_memory')
  assert.match(task.error?.message ?? '', /448 MiB/)
  assert.ok(reached.length > 0)
  const checked = events.findLast(({ type }) => type === 'task.checks_finished')
  assert.match(JSON.stringify(checked), /"outcome":"failed".*ran out of memory/)
})

test('checks that start too many processes fail the task as too_many_processes', async () => {
  const { task } = await run('bomb', { instructions: 'Mend.', checks: [bomb] })
  assert.equal(task.reason, 'too_many_processes')
  assert.match(task.error?.message ?? '', /64 processes/)
})

test('a hog of the agent’s is killed, the agent is told, and the task goes on', async () => {
  const { task, events, reached } = await run('hog', { instructions: 'Hog.' })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.deepEqual(
    reached.map(({ limit }) => limit),
    ['out_of_memory'],
  )
  assert.match(
    heard.at(-1)?.notices.join() ?? '',
    /ran out of memory: everything in it together may take 448 MiB/,
  )
  const usage = events.find(({ type }) => type === 'workspace.usage')
  assert.ok(Number(usage?.['cpu_seconds']) > 0.1)
  const peak = Number(usage?.['memory_peak_bytes'])
  assert.ok(peak > 350 * 1024 ** 2 && peak <= memoryMiB * 1024 ** 2, String(peak))
})

test('many commands that are each smaller than the agent are killed before it', async () => {
  const { task, reached } = await run('spread', { instructions: 'Spread.' })
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(reached.length, 1)
})

test('an agent that is killed for its session’s memory fails the task as that', async () => {
  const { task, reached } = await run('agent', { instructions: 'Outgrow yourself.' })
  assert.equal(task.reason, 'out_of_memory')
  assert.match(task.error?.message ?? '', /ended by SIGKILL.*448 MiB/)
  assert.equal(reached.length, 1)
})

test('set-up that takes too much memory fails the task as that', async () => {
  const { task } = await run('setup', { instructions: 'Mend.', setup: [hog(500)] })
  assert.equal(task.reason, 'out_of_memory')
  assert.match(task.error?.message ?? '', /the set-up command .*448 MiB/s)
})

const fill = `dd if=/dev/zero of=$HOME/hog bs=1M count=${diskMiB + 40}`

test('set-up and checks that fill the disk fail the task as disk_full, with the number', {
  skip:
    process.getuid?.() === 0 ? false : 'without images a disk is filled more slowly than counted',
}, async () => {
  for (const order of [{ setup: [fill] }, { checks: [fill] }]) {
    const { task, events, reached } = await run(`disk-${Object.keys(order)}`, {
      ...{ instructions: 'Mend.', ...order },
    })
    assert.equal(task.reason, 'disk_full', JSON.stringify(task.error))
    assert.match(task.error?.message ?? '', /disk is full: .* may take 160 MiB, its \/tmp may take/)
    assert.ok(reached.some(({ limit }) => limit === 'disk_full'))
    const usage = events.findLast(({ type }) => type === 'workspace.usage')
    assert.ok(Number(usage?.['disk_bytes']) > 100 * 1024 ** 2)
  }
})
