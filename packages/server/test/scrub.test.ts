import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Scrubber } from '../src/scrub.ts'

const secret = 'canary"of/the+scrubber??>>~~'

test('a secret is taken out in every usual encoding, wherever in the text it stands', () => {
  const base64 = (before: string) => Buffer.from(`${before}${secret}.`)
  const texts = [
    `is ${secret}.`,
    JSON.stringify({ secret }),
    `https://example.com/${encodeURIComponent(secret)}`,
    encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase()),
    String(new URLSearchParams({ secret })),
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('hex').toUpperCase(),
    ...['', 'a', 'ab'].flatMap((before) => [
      base64(before).toString('base64'),
      base64(before).toString('base64url'),
    ]),
  ]
  for (const text of texts) assert.match(new Scrubber([secret]).text(text), /\[secret\]/, text)
})

test('what has no secret comes back as it is', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(new Scrubber([secret]).text(text), text)
      assert.equal(new Scrubber([]).cut(text), text)
    }),
  )
})

test('a stream is scrubbed the same, however it is cut into chunks', async () => {
  const whole = Buffer.from(`ä ${secret}${secret.slice(0, 5)} — ${secret}ö${secret.slice(0, 9)}`)
  const expected = new Scrubber([secret]).text(whole.toString())
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: whole.length })), async (cuts) => {
      const ends = [0, ...cuts.sort((a, b) => a - b), whole.length]
      const chunks = ends.slice(1).map((end, i) => whole.subarray(ends[i], end))
      const got: Buffer[] = []
      for await (const chunk of new Scrubber([secret]).stream(each(chunks))) got.push(chunk)
      assert.equal(Buffer.concat(got).toString(), expected)
    }),
  )
})

test('nothing waits in a stream that may not be the start of a secret', async () => {
  const { promise: never } = Promise.withResolvers<never>()
  const chunks = (async function* () {
    yield Buffer.from('data: {}\n\n')
    await never
  })()
  const first = await new Scrubber([secret]).stream(chunks).next()
  assert.equal(String(first.value), 'data: {}\n\n')
})

test('a text that was cut in a secret loses that end', () => {
  const scrubber = new Scrubber([secret])
  for (let kept = 1; kept < secret.length; kept += 1)
    assert.equal(scrubber.cut(`answer: ${secret.slice(0, kept)}`), 'answer: ')
})

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}
