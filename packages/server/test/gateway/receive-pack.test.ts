import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ReceivePackParser, refusalReport } from '../../src/gateway/receive-pack.ts'

const zero = '0'.repeat(40)
const one = '1'.repeat(40)
const two = '2'.repeat(40)
const caps = '\0report-status side-band-64k agent=git/2.39'

function packet(text: string): string {
  return (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text
}

function push(...lines: string[]): Buffer {
  return Buffer.from(`${lines.map(packet).join('')}0000PACK and so on`)
}

const granted = ['refs/heads/agent/x', 'refs/heads/agent/x-wip']

function verdictOf(bytes: Buffer) {
  return new ReceivePackParser(granted).push(bytes)
}

const allowed = {
  'a new branch': push(`${zero} ${one} refs/heads/agent/x${caps}\n`),
  'an update': push(`${one} ${two} refs/heads/agent/x-wip${caps}`),
  'both branches': push(
    `${zero} ${one} refs/heads/agent/x${caps}`,
    `${zero} ${one} refs/heads/agent/x-wip`,
  ),
  'a shallow clone': push(`shallow ${one}`, `${zero} ${one} refs/heads/agent/x${caps}`),
  'SHA-256 ids': push(`${'0'.repeat(64)} ${'1'.repeat(64)} refs/heads/agent/x${caps}`),
  "git's probe": Buffer.from('0000'),
}
for (const [name, bytes] of Object.entries(allowed))
  test(`a push is allowed: ${name}`, () => {
    assert.equal(verdictOf(bytes).kind, 'allowed')
  })

const refs = [
  'refs/heads/main',
  'refs/heads/agent',
  'refs/heads/agent/',
  'refs/heads/agent/y',
  'refs/heads/agent/x/y',
  'refs/heads/agent/x-wip2',
  'refs/heads/agent/../agent/x',
  'refs/heads/agent//x',
  'refs/heads/agent/x\x7f',
  'refs/heads/agent/x\nrefs/heads/main',
  'refs/heads/Agent/x',
  'refs/tags/agent/x',
  'refs/for/main',
  'HEAD',
]
for (const ref of refs)
  test(`a push to ${JSON.stringify(ref)} is refused`, () => {
    assert.equal(verdictOf(push(`${zero} ${one} ${ref}${caps}`)).kind, 'refused')
  })

const refusedPushes = {
  'a deletion': push(`${one} ${zero} refs/heads/agent/x${caps}`),
  'main beside the own branch': push(
    `${zero} ${one} refs/heads/agent/x${caps}`,
    `${one} ${two} refs/heads/main`,
  ),
  'push options': push(`${zero} ${one} refs/heads/agent/x${caps} push-options`),
  'push options after a tab': push(`${zero} ${one} refs/heads/agent/x${caps}\tpush-options`),
  'push options with a value': push(`${zero} ${one} refs/heads/agent/x${caps} push-options=1`),
  'push options hidden in the second command': push(
    `${zero} ${one} refs/heads/agent/x${caps}`,
    `${zero} ${one} refs/heads/agent/x-wip\0push-options`,
  ),
}
for (const [name, bytes] of Object.entries(refusedPushes))
  test(`a push is refused: ${name}`, () => {
    assert.equal(verdictOf(bytes).kind, 'refused')
  })

const malformed = {
  'a signed push': push('push-cert\0caps', 'certificate version 0.1'),
  'no hexadecimal length': Buffer.from('zzzz'),
  'a delimiter packet instead of a flush': Buffer.from('0001'),
  'an empty line': Buffer.from('0004'),
  'upper-case ids': push(`${zero} ${'A'.repeat(40)} refs/heads/agent/a${caps}`),
  'more than 16 branches': push(
    ...Array.from({ length: 17 }, (_, n) => `${zero} ${one} refs/heads/agent/b${n}`),
  ),
  'an endless command section': Buffer.from(packet(`shallow ${one}`).repeat(2_000)),
  'an unknown line': push('hello'),
}
for (const [name, bytes] of Object.entries(malformed))
  test(`a push is malformed: ${name}`, () => {
    assert.equal(verdictOf(bytes).kind, 'malformed')
  })

test('a section that has not ended asks for more', () => {
  const bytes = push(`${zero} ${one} refs/heads/agent/x${caps}`)
  assert.equal(verdictOf(bytes.subarray(0, 30)).kind, 'more')
})

test('any chunking gives the same verdict', () => {
  const line = fc.oneof(
    fc.constantFrom(...Object.values({ ...allowed, ...refusedPushes, ...malformed })),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc
      .array(fc.constantFrom(...refs, ...granted), { maxLength: 5 })
      .map((names) => push(...names.map((ref) => `${zero} ${one} ${ref}${caps}`))),
  )
  fc.assert(
    fc.property(line, fc.array(fc.nat(300), { maxLength: 40 }), (bytes, cuts) => {
      const whole = verdictOf(bytes)
      const parser = new ReceivePackParser(granted)
      let verdict = parser.push(Buffer.alloc(0))
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        verdict = parser.push(bytes.subarray(at, at + cut))
        at += cut
      }
      assert.deepEqual(verdict, whole)
    }),
    { numRuns: 500 },
  )
})

test('a refusal is reported only to a client that asked for reports', () => {
  const commands = [{ oldId: zero, newId: one, ref: 'refs/heads/main' }]
  assert.equal(refusalReport({ commands, capabilities: [], why: 'No.' }), null)
  assert.equal(refusalReport({ commands: [], capabilities: ['report-status'], why: 'No.' }), null)
  const plain = refusalReport({ commands, capabilities: ['report-status'], why: 'No.' })
  assert.equal(plain?.toString(), '000eunpack ok\n001bng refs/heads/main No.\n0000')
})
