/** The filter of system calls, run by an interpreter of the kernel's rules, for both architectures. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Architecture,
  auditArchitecture,
  type CallName,
  numberOf,
} from '../../src/sandbox/seccomp/numbers.ts'
import { code, seccompProgram, verdicts } from '../../src/sandbox/seccomp/program.ts'
import { errors, rules } from '../../src/sandbox/seccomp/table.ts'

const architectures: readonly Architecture[] = ['x64', 'arm64']
/** BPF_MAXINSNS of the kernel. */
const instructionsMax = 4096

/** What a program answers to a call; `args` are 64 bits wide, of which a filter sees halves. */
function verdictOf(
  program: Buffer,
  o: { readonly architecture: number; readonly number: number; readonly args?: readonly bigint[] },
): number {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(o.number >>> 0, 0)
  data.writeUInt32LE(o.architecture, 4)
  for (const [at, value] of (o.args ?? []).entries())
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * at)
  let accumulator = 0
  for (let at = 0; ; at += 1) {
    assert.ok(at * 8 < program.length, 'it runs past its end')
    const op = program.readUInt16LE(at * 8)
    const [jt, jf] = [program.readUInt8(at * 8 + 2), program.readUInt8(at * 8 + 3)]
    const k = program.readUInt32LE(at * 8 + 4)
    const jump = (isTrue: boolean): number => (isTrue ? jt : jf)
    if (op === code.return) return k
    if (op === code.load) accumulator = data.readUInt32LE(k)
    else if (op === code.jumpIfEqual) at += jump(accumulator === k)
    else if (op === code.jumpIfAtLeast) at += jump(accumulator >= k)
    else if (op === code.jumpIfAnyBit) at += jump((accumulator & k) !== 0)
    else assert.fail(`an unknown instruction ${op}`)
  }
}

/** The verdict of one architecture's program about a call that it knows by name. */
function about(architecture: Architecture, call: CallName, ...args: readonly (bigint | number)[]) {
  const program = seccompProgram(architecture)
  const number = numberOf(call, architecture)
  assert.ok(program !== null && number !== null)
  const verdict = verdictOf(program, {
    architecture: auditArchitecture[architecture],
    number,
    args: args.map(BigInt),
  })
  if (verdict === verdicts.allow) return 'allowed'
  assert.equal(verdict & ~0xffff, verdicts.error)
  return Object.entries(errors).find(([, errno]) => errno === (verdict & 0xffff))?.[0]
}

for (const architecture of architectures) {
  test(`every call that is always refused is, on ${architecture}, whatever its arguments`, () => {
    const always = rules.filter(({ when }) => when === undefined)
    assert.ok(always.length > 5)
    for (const { calls, error } of always)
      for (const call of calls) {
        if (numberOf(call, architecture) === null) continue
        assert.equal(about(architecture, call), error, call)
        assert.equal(about(architecture, call, -1, -1, -1, -1, -1, -1), error, call)
      }
  })

  test(`sockets are of four families, and netlink is for routes, on ${architecture}`, () => {
    const families = Array.from({ length: 46 }, (_, family) => family)
    for (const call of ['socket', 'socketpair'] as const)
      for (const family of families) {
        const isKnown = [1, 2, 10, 16].includes(family)
        const expected = isKnown ? 'allowed' : 'EAFNOSUPPORT'
        assert.equal(about(architecture, call, family, 1, 0), expected, `${call} ${family}`)
      }
    assert.equal(about(architecture, 'socket', 16, 3, 15), 'EPROTONOSUPPORT')
    assert.equal(about(architecture, 'socket', 2, 1, 6), 'allowed')
    // The kernel takes an int: what stands above its 32 bits changes nothing.
    assert.equal(about(architecture, 'socket', (1n << 32n) | 40n, 1, 0), 'EAFNOSUPPORT')
    assert.equal(about(architecture, 'socket', (1n << 32n) | 2n, 1, 0), 'allowed')
  })

  test(`namespaces are not made, and threads and processes are, on ${architecture}`, () => {
    const threads = 0x3d0f00
    const fork = 0x1200011
    for (const flag of [
      0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
    ]) {
      assert.equal(about(architecture, 'unshare', flag), 'EPERM')
      assert.equal(about(architecture, 'clone', flag | 17), 'EPERM')
    }
    assert.equal(about(architecture, 'unshare', 0x80), 'EPERM')
    assert.equal(about(architecture, 'clone', threads), 'allowed')
    assert.equal(about(architecture, 'clone', fork), 'allowed')
    assert.equal(about(architecture, 'unshare', 0x400), 'allowed')
  })

  test(`nothing types into a terminal, and other requests of a device pass, on ${architecture}`, () => {
    for (const request of [0x5412, 0x541c, (1n << 32n) | 0x5412n])
      assert.equal(about(architecture, 'ioctl', 0, request), 'EPERM')
    for (const request of [0x5401, 0x5413, 0x541b])
      assert.equal(about(architecture, 'ioctl', 0, request), 'allowed')
  })

  test(`calls that no rule names pass, on ${architecture}, and the program fits the kernel`, () => {
    const program = seccompProgram(architecture)
    assert.ok(program !== null)
    assert.ok(program.length / 8 <= instructionsMax)
    const named = rules.flatMap(({ calls }) => calls).map((call) => numberOf(call, architecture))
    for (let number = 0; number < 470; number += 1) {
      if (named.includes(number)) continue
      const o = { architecture: auditArchitecture[architecture], number }
      assert.equal(verdictOf(program, o), verdicts.allow, String(number))
    }
  })

  test(`calls of another architecture end their process, on ${architecture}`, () => {
    const program = seccompProgram(architecture)
    assert.ok(program !== null)
    const i386 = 0x4000_0003
    const others = [i386, 0, ...Object.values(auditArchitecture)]
    for (const other of others.filter((one) => one !== auditArchitecture[architecture]))
      assert.equal(verdictOf(program, { architecture: other, number: 1 }), verdicts.killProcess)
  })
}

test('calls by the numbers of the x32 ABI are refused', () => {
  const program = seccompProgram('x64')
  assert.ok(program !== null)
  for (const number of [0x4000_0000, 0x4000_0029, 0x4000_0200, 0xffff_ffff]) {
    const verdict = verdictOf(program, { architecture: auditArchitecture.x64, number })
    assert.equal(verdict, verdicts.error | errors.EPERM)
  }
})

test('an architecture whose calls are not known has no program', () => {
  assert.equal(seccompProgram('riscv64'), null)
})
