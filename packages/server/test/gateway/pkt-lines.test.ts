import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { flushPacket, PktLines, pktLine } from '../../src/gateway/pkt-lines.ts'

/** Everything that `next` answers of these chunks. */
function readAll(chunks: readonly Buffer[]): string[] {
  const lines = new PktLines()
  const read: string[] = []
  for (const chunk of chunks) {
    lines.push(chunk)
    for (let line = lines.next(); line !== 'more'; line = lines.next()) {
      read.push(typeof line === 'string' ? line : `line ${line.toString('hex')}`)
      if (line === 'broken') return read
    }
  }
  return read
}

test('lines come out as they went in, however they were cut', () => {
  const contents = fc.array(fc.uint8Array({ minLength: 1, maxLength: 70 }), { maxLength: 8 })
  fc.assert(
    fc.property(contents, fc.array(fc.integer({ min: 1, max: 60 })), (given, cuts) => {
      const packets = given.map((content) => pktLine(Buffer.from(content)))
      const bytes = Buffer.concat([...packets, Buffer.from(flushPacket)])
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; at += chunks.at(-1)?.length ?? 0)
        chunks.push(bytes.subarray(at, at + (cuts[chunks.length] ?? bytes.length)))
      const lines = given.map((content) => `line ${Buffer.from(content).toString('hex')}`)
      assert.deepEqual(readAll(chunks), [...lines, 'flush'])
    }),
  )
})

for (const bytes of ['zzzz', '0001', '0003', '0004', '-001', '0x10'])
  test(`${bytes} is not the beginning of a line`, () => {
    assert.deepEqual(readAll([Buffer.from(bytes)]), ['broken'])
  })

test('a line that has not ended asks for more', () => {
  assert.deepEqual(readAll([Buffer.from('000'), Buffer.from('9hell')]), [])
  assert.deepEqual(readAll([Buffer.from('0009hell'), Buffer.from('o')]), ['line 68656c6c6f'])
})
