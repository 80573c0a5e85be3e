/**
 * What of the machine a session takes: its share. Attacks on memory, processes and processors; the
 * walls that stop them are in `mutations-limits.ts`. Each prints the canary where it got through.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { kernelFiles } from '../../src/sandbox/limits/cgroup-files.ts'
import { detectLimits, ownProc } from '../../src/sandbox/limits/detect.ts'
import { numberOf } from '../../src/sandbox/seccomp/numbers.ts'
import { type Bench, openBench, sh, until } from '../sandbox/support.ts'
import { assertUnread, canary, isRoot } from './attack.ts'

const detected = await detectLimits({ proc: ownProc, files: kernelFiles, clock: systemClock })
const held = [detected.memory, detected.cpu, detected.processes].every((by) => by === 'cgroup1')
const grouped = held ? false : 'this host does not hold limits by control groups of version 1'
const MiB = 1024 ** 2

let bench: Bench
/** On a host that has no control groups. */
let bare: Bench
before(async () => {
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  bare = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-'), proc: '/var/no-control-groups' })
})
after(async () => {
  await bench[Symbol.asyncDispose]()
  await bare[Symbol.asyncDispose]()
})

/** Takes memory by so many processes at once, holds it, and prints the canary if it could. */
const hogs = (count: number, mebibytes: number) =>
  `for i in $(seq ${count}); do perl -e 'my @a; for (1..${mebibytes}) { push @a, "x" x 1048576 }
    sleep 2; exit 7' & pids="$pids $!"; done
  for pid in $pids; do wait $pid; [ $? = 7 ] || exit 1; done; echo ${canary}`
/** Takes 100 MB, detached and in the background, and prints the canary when it is asked. */
const keeps = `exec 3<&0; perl -e '$| = 1; my @a; for (1..100) { push @a, "x" x 1048576 }
  print "held"; print "${canary}" if <STDIN>' <&3 & wait`
const heldBy = (sandbox: Sandbox) => {
  const child = sandbox.spawn(['setsid', '-w', 'bash', '-c', keeps], { network: false })
  child.stdin.on('error', () => undefined) // What was killed hears nothing.
  const said = text(child.stdout)
  const held = Promise.race([once(child.stdout, 'data'), said])
  return { child, held, said }
}
/** Starts 64 children and prints the canary if it could. */
const bomb = `perl -e 'for (1..64) { my $pid = fork; exit 1 unless defined $pid;
  if (!$pid) { sleep 2; exit } } sleep 1; print "${canary}"'`

test('a process that takes 200 MB in a session of 160 MB is killed', {
  skip: grouped,
}, async () => {
  const sandbox = await bench.open(971, 'sesn_hog', { memoryBytes: 160 * MiB })
  assertUnread(await sh(sandbox, hogs(1, 200)))
})

test('what is started apart, detached and in the background does not leave its session’s limits', {
  skip: grouped,
}, async () => {
  const sandbox = await bench.open(972, 'sesn_apart', { memoryBytes: 160 * MiB })
  const both = [1, 2].map(() => heldBy(sandbox))
  await Promise.all(both.map(({ held }) => held))
  // Only one that still has its memory answers.
  for (const { child } of both) child.stdin.end('\n')
  const answers = await Promise.all(both.map(({ said }) => said))
  const through = answers.filter((said) => said.includes(canary))
  assert.ok(through.length < 2, 'the canary was read: both had their memory')
})

test('a fork bomb of 64 ends at its session’s 32', { skip: grouped }, async () => {
  const sandbox = await bench.open(973, 'sesn_bomb', { processes: 32 })
  assertUnread(await sh(sandbox, bomb))
})

test('a busy loop on every processor gets its session’s fiftieth of one', {
  skip: grouped,
}, async () => {
  const sandbox = await bench.open(974, 'sesn_busy', { cpus: 0.02 })
  const begun = performance.now()
  const busy = sh(sandbox, 'for i in 1 2; do (while :; do :; done) & done; wait')
  await until(async () => ((await sandbox.usage()).cpuSeconds ?? 0) >= 0.1)
  const seconds = (performance.now() - begun) / 1000
  await sandbox.killAll()
  await busy
  // Five at this share; where others want to work, too, it is longer, not shorter.
  assert.ok(seconds > 3, `the canary: a tenth of a second of work took only ${seconds} s`)
})

test('without control groups, too, a process that takes 200 MB in a session of 160 MB is killed', async () => {
  const sandbox = await bare.open(975, 'sesn_hog', { memoryBytes: 160 * MiB })
  assertUnread(await sh(sandbox, hogs(1, 200)))
})

test('without control groups, too, a fork bomb of 64 ends at its session’s 32', {
  skip: isRoot ? false : 'only a slot’s uid can have a limit of its own',
}, async () => {
  const sandbox = await bare.open(976, 'sesn_bomb', { processes: 32 })
  assertUnread(await sh(sandbox, bomb))
})

test('without control groups nothing takes memory that is in no process, by memfd_create', async () => {
  const number = numberOf('memfd_create', process.arch === 'arm64' ? 'arm64' : 'x64')
  await assertNotTaken(
    968,
    `my $name = "a"; my $fd = syscall(${number}, $name, 0); exit 1 if $fd < 0;
     open(my $file, ">&=", $fd); syswrite($file, "x" x 1048576) for 1..96`,
  )
})

test('without control groups nothing takes memory that is in no process, by shmget', () =>
  assertNotTaken(
    969,
    `my $id = shmget(0, 96 * 1048576, 01666); exit 1 unless defined $id;
     shmwrite($id, "x", $_ * 4096, 1) for 0..24575`,
  ))

async function assertNotTaken(slot: number, take: string): Promise<void> {
  const sandbox = await bare.open(slot, `sesn_${slot}`, { memoryBytes: 64 * MiB })
  assertUnread(await sh(sandbox, `perl -e '${take}; sleep 1; print "${canary}"'`))
}
