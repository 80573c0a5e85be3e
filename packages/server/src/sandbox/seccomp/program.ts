import { type Architecture, auditArchitecture, numberOf } from './numbers.ts'
import { type Condition, errors, type Rule, rules } from './table.ts'

/** One instruction of classic BPF: code, jumps if true and if false, operand (linux/filter.h). */
type Instruction = readonly [code: number, jt: number, jf: number, k: number]

/** The codes that the program uses. */
export const code = {
  /** Load the word of `seccomp_data` at k. */
  load: 0x20,
  /** Jump by comparing with k. */
  jumpIfEqual: 0x15,
  jumpIfAtLeast: 0x35,
  jumpIfAnyBit: 0x45,
  return: 0x06,
} as const

/** What the kernel does with a call (linux/seccomp.h). */
export const verdicts = {
  allow: 0x7fff_0000,
  killProcess: 0x8000_0000,
  /** Or the errno. */
  error: 0x0005_0000,
} as const

const numberAt = 0
const architectureAt = 4
const argumentAt = (n: number): number => 16 + 8 * n
/** Calls of the x32 ABI have this bit, and their own numbers. */
const x32Bit = 0x4000_0000
const instructionBytes = 8

/**
 * The program for bwrap's `--seccomp`, for a machine of this architecture; null: its calls are not
 * known here. A call of another architecture (32-bit x86) ends its process. `more` are rules of this host.
 */
export function seccompProgram(architecture: string, more: readonly Rule[] = []): Buffer | null {
  if (architecture !== 'x64' && architecture !== 'arm64') return null
  return assemble(instructionsFor(architecture, [...rules, ...more]))
}

/** The program, not assembled. */
function instructionsFor(architecture: Architecture, all: readonly Rule[]): Instruction[] {
  return [
    [code.load, 0, 0, architectureAt],
    [code.jumpIfEqual, 1, 0, auditArchitecture[architecture]],
    [code.return, 0, 0, verdicts.killProcess],
    [code.load, 0, 0, numberAt],
    ...(architecture === 'x64' ? refuseX32 : []),
    ...all.flatMap((rule) => rule.calls.flatMap((call) => blockOf(rule, call, architecture))),
    [code.return, 0, 0, verdicts.allow],
  ]
}

/**
 * The same calls by other numbers would pass every rule below. Not ENOSYS, which is what a kernel
 * without this ABI says by itself: it would hide that the filter lets them through.
 */
const refuseX32: readonly Instruction[] = [
  [code.jumpIfAtLeast, 0, 1, x32Bit],
  [code.return, 0, 0, verdicts.error | errors.EPERM],
]

/** The rule for one call; for every other call, and where it does not hold, the next block follows. */
function blockOf(rule: Rule, call: Rule['calls'][number], architecture: Architecture) {
  const number = numberOf(call, architecture)
  if (number === null) return []
  const refuse: Instruction = [code.return, 0, 0, verdicts.error | errors[rule.error]]
  const body: readonly Instruction[] =
    rule.when === undefined
      ? [refuse]
      : // The number is loaded again for the blocks that follow.
        [...tests(rule.when), refuse, [code.load, 0, 0, numberAt]]
  const head: Instruction = [code.jumpIfEqual, 0, body.length, number]
  return [head, ...body]
}

/** Goes on to the next instruction, the refusal, if the condition holds, else past it. */
function tests(when: Condition): Instruction[] {
  if ('unless' in when)
    return [
      [code.load, 0, 0, argumentAt(when.argument)],
      [code.jumpIfEqual, 0, 3, when.is],
      [code.load, 0, 0, argumentAt(when.unless.argument)],
      [code.jumpIfEqual, 1, 0, when.unless.is],
    ]
  const load: Instruction = [code.load, 0, 0, argumentAt(when.argument)]
  if ('anyBit' in when) return [load, [code.jumpIfAnyBit, 0, 1, when.anyBit]]
  const values = 'equals' in when ? when.equals : when.notIn
  const last = values.length - 1
  // From each comparison: to the refusal, which follows the last, or past it.
  return [
    load,
    ...values.map((value, at): Instruction => {
      const toRefusal = last - at
      return 'equals' in when
        ? [code.jumpIfEqual, toRefusal, at === last ? 1 : 0, value]
        : [code.jumpIfEqual, toRefusal + 1, 0, value]
    }),
  ]
}

/** `struct sock_filter`: 16 bits, two bytes, 32 bits; both architectures are little-endian. */
function assemble(instructions: readonly Instruction[]): Buffer {
  const program = Buffer.alloc(instructions.length * instructionBytes)
  for (const [at, [op, jt, jf, k]] of instructions.entries()) {
    const offset = at * instructionBytes
    program.writeUInt16LE(op, offset)
    program.writeUInt8(jt, offset + 2)
    program.writeUInt8(jf, offset + 3)
    program.writeUInt32LE(k >>> 0, offset + 4)
  }
  return program
}
