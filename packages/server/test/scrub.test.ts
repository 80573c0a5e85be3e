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

const marks = 'tok/en&with"quote<9>\\100%41'
const json = JSON.stringify(marks).slice(1, -1)
const html = marks.replaceAll(/[&"<>]/g, (char) => `&#${char.charCodeAt(0)};`)
const named = marks
  .replaceAll('&', '&amp;')
  .replaceAll('"', '&quot;')
  .replaceAll('<', '&lt;')
  .replaceAll('>', '&gt;')
/** As encoders write them that escape more than they must, or what is escaped already. */
const spellings: Readonly<Record<string, string>> = {
  'JSON in JSON': JSON.stringify(JSON.stringify({ marks })),
  'JSON in JSON in JSON': JSON.stringify(JSON.stringify(JSON.stringify({ marks }))),
  'JSON of PHP': json.replaceAll('/', '\\/'),
  'JSON of Go': json.replaceAll(/[&<>]/g, (char) => `\\u00${hexOf(char)}`),
  'JSON in upper case': json.replaceAll(/[&<>]/g, (char) => `\\u00${hexOf(char).toUpperCase()}`),
  'JSON of Go in JSON': JSON.stringify(json.replaceAll('&', '\\u0026')),
  HTML: named,
  'HTML in decimals': html,
  'HTML in hex': marks.replaceAll(/[&"<>/]/g, (char) => `&#x${hexOf(char)};`),
  'HTML twice': named.replaceAll('&', '&amp;'),
  'HTML in JSON of Go': JSON.stringify(named).replaceAll('&', '\\u0026'),
  'a URL in a URL': encodeURIComponent(encodeURIComponent(marks)),
  'JSON in a URL': encodeURIComponent(json),
}
for (const [name, text] of Object.entries(spellings)) {
  test(`a secret is taken out of ${name}`, () => {
    const scrubbed = new Scrubber([marks]).text(`<${text}>`)
    assert.match(scrubbed, /\[secret\]/, text)
    assert.doesNotMatch(scrubbed, /quote|100/)
  })
}

test('of a Basic credential, the name with the password and the password alone are secret, too', () => {
  const scrubber = new Scrubber([Buffer.from('robot:hunter2/hunter2').toString('base64')])
  assert.equal(scrubber.text('{"you":"robot:hunter2\\/hunter2"}'), '{"you":"[secret]"}')
  assert.equal(
    scrubber.text('{"user":"robot","password":"hunter2/hunter2"}'),
    '{"user":"robot","password":"[secret]"}',
  )
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

test('a text that was cut loses the same end, whatever it says of a secret', () => {
  const scrubber = new Scrubber([secret])
  const before = 'x'.repeat(2000)
  const expected = scrubber.cut(before + '-'.repeat(secret.length))
  assert.ok(expected.length > 1000 && expected.length < before.length)
  for (let known = 1; known < secret.length; known += 1) {
    const guess = secret.slice(0, known).padStart(secret.length, '-')
    assert.equal(scrubber.cut(before + guess), expected)
  }
})

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

function hexOf(char: string): string {
  return char.charCodeAt(0).toString(16)
}
