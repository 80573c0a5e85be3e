/**
 * What a sandbox may ask the kernel: system calls of 2.7 of the sandbox reference, made by perl
 * inside. Each test names the answer that the filter gives; without it the kernel answers otherwise.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { type Architecture, type CallName, numberOf } from '../../src/sandbox/seccomp/numbers.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { attack } from './attack.ts'

let bench: Bench
let sandbox: Sandbox
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(963)
})
after(async () => {
  await bench[Symbol.asyncDispose]()
})

const x64Only = { skip: process.arch !== 'x64' && 'other machines have no second ABI' }

const eperm = 1
const enosys = 38
const eprotonosupport = 93
const eafnosupport = 97
/** CLONE_NEWUSER, and a fork's signal. */
const newUser = 0x1000_0000
const sigchld = 17

/** The errno of a call that is made inside; `made`: it was not refused. */
async function answerTo(call: CallName | number, ...args: readonly (number | string)[]) {
  const number = typeof call === 'number' ? call : numberOf(call, process.arch as Architecture)
  assert.ok(number !== null)
  // The child that a `clone` made says nothing.
  const script = `$r = syscall(${[number, ...args].join(', ')}); exit if ${call === 'clone' ? '$r == 0' : '0'}; print $r == -1 ? $!+0 : "made", "\n"`
  const { stdout } = await attack(sandbox, `perl -e '${script}'`)
  const [said = ''] = stdout.split('\n')
  return said === 'made' ? said : Number(said)
}

test('a socket to the hypervisor is not made: no namespace covers AF_VSOCK', async () => {
  assert.equal(await answerTo('socket', 40, 1, 0), eafnosupport, 'the canary socket was made')
})

test('sockets that builds use are made', async () => {
  for (const family of [1, 2, 10]) assert.equal(await answerTo('socket', family, 1, 0), 'made')
  assert.equal(await answerTo('socket', 16, 3, 0), 'made')
})

test('a socket of the kernel’s own, other than for routes, is not made', async () => {
  const kobjectUevent = 15
  assert.equal(
    await answerTo('socket', 16, 3, kobjectUevent),
    eprotonosupport,
    'the canary socket was made',
  )
})

test('no user namespace is made inside: not by unshare, clone or clone3', async () => {
  assert.equal(await answerTo('unshare', newUser), eperm, 'the canary namespace was made')
  assert.equal(await answerTo('clone', newUser | sigchld, 0), eperm, 'the canary was made')
  assert.equal(await answerTo('clone3', 0, 0), enosys, 'the canary call was heard')
})

test('no namespace of others is entered', async () => {
  // EBADF without the filter: the kernel looked at the descriptor.
  assert.equal(await answerTo('setns', -1, 0), eperm, 'the canary call was heard')
})

test('rings of calls that no filter sees are not made', async () => {
  assert.equal(await answerTo('io_uring_setup', 1, 0), enosys, 'the canary call was heard')
})

test('keyrings, which belong to a uid and not to a sandbox, are not used', async () => {
  // KEYCTL_GET_KEYRING_ID of the user's keyring.
  assert.equal(await answerTo('keyctl', 0, -4, 1), eperm, 'the canary keyring was there')
})

test('page faults are not handled inside', async () => {
  assert.equal(await answerTo('userfaultfd', 1), eperm, 'the canary descriptor was made')
})

test('descriptors of other processes are not taken', async () => {
  assert.equal(await answerTo('pidfd_getfd', -1, 0, 0), eperm, 'the canary call was heard')
})

test('files are not opened by number', async () => {
  assert.equal(await answerTo('name_to_handle_at', -1, 0, 0, 0, 0), eperm, 'the canary was heard')
})

test('no call is made by its number of the x32 ABI, which no rule has', x64Only, async () => {
  // getpid, which all may call, and a socket to the hypervisor. A kernel without this ABI: ENOSYS.
  const x32 = 0x4000_0000
  const getpid = 39
  const socket = numberOf('socket', 'x64') ?? 0
  assert.equal(await answerTo(x32 + getpid), eperm, 'the canary call was heard')
  assert.equal(await answerTo(x32 + socket, 40, 1, 0), eperm, 'the canary call was heard')
})

test('the kernel’s messages are not read: no call, no device, no program', async () => {
  // SYSLOG_ACTION_READ_ALL of nothing, and the size of the buffer.
  for (const action of [3, 10])
    assert.equal(await answerTo('syslog', action, 0, 0), eperm, 'the canary call was heard')
  const { stdout } = await attack(sandbox, 'dmesg | head -1; head -c 1 /dev/kmsg; ls /dev/kmsg')
  assert.equal(stdout, 'tried\n', 'a canary message was read')
})

test('nothing is mounted: not by the old calls, and not by the new ones', async () => {
  assert.equal(await answerTo('open_tree', -1, 0, 0), eperm, 'the canary call was heard')
  assert.equal(await answerTo('mount', 0, 0, 0, 0, 0), eperm, 'the canary call was heard')
})

test('nothing is typed into a terminal', async () => {
  // Another error without the filter: standard input is no terminal.
  assert.equal(await answerTo('ioctl', 0, 0x5412, 0), eperm, 'the canary call was heard')
})

test('tracing of the whole machine, and programs in the kernel, are refused before they are looked at', async () => {
  assert.equal(await answerTo('perf_event_open', 0, 0, 0, -1, 0), eperm, 'the canary was heard')
  assert.equal(await answerTo('bpf', 999, 0, 0), eperm, 'the canary call was heard')
})
