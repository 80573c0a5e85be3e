import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { Scrubber } from '../../src/scrub/scrubber.ts'

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
      for await (const chunk of new Scrubber([secret]).stream(each(chunks), atOnce)) got.push(chunk)
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
  const first = await new Scrubber([secret]).stream(chunks, atOnce).next()
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

test('a base64 text that was wrapped is found, in a file, in JSON and in a stream', async () => {
  const long = `${secret}-${'x7'.repeat(40)}`
  const scrubber = new Scrubber([long])
  for (const width of [64, 76]) {
    const base64 = Buffer.from(`key: ${long}\n`).toString('base64')
    const wrapped = `${base64.replaceAll(new RegExp(`.{${width}}`, 'g'), '$&\n')}\n`
    const middle = Buffer.from(long).toString('base64').slice(40, 60)
    for (const text of [wrapped, JSON.stringify({ wrapped }), wrapped.replaceAll('\n', '\r\n')]) {
      assert.match(scrubber.text(text), /\[secret\]/)
      const pieces = scrubber.pieces()
      const streamed = [...text].map((char) => pieces.push(char)).join('') + pieces.end()
      assert.equal(streamed, scrubber.text(text))
      assert.ok(!streamed.includes(middle) && !streamed.includes(long.slice(-20)))
    }
  }
})

test('in pieces a text becomes the same, however what is in it is spelled and wherever it is cut', () => {
  const token = 'ghp_0123456789abcdefghijklmn'
  const spelled = ['=', '\\=', '%5c=', '\\\\u00#', '%25#', '&amp;#x#;', '\\u0026#x#%3b'].map((as) =>
    [...token].map((char) => as.replace('=', char).replace(/#(?!x)/, hexOf(char))).join(''),
  )
  const parts = fc.oneof(
    fc.constantFrom(...spelled, ...spelled.map((each) => each.slice(0, -5))),
    fc
      .constantFrom('\\', '%', '&', '%5c', '%25', 'u0026', 'x', ' ', '\n', 'g')
      .map((unit) => unit.repeat(30)),
  )
  fc.assert(
    fc.property(fc.array(parts), fc.array(fc.nat({ max: 600 })), (texts, sizes) => {
      const [scrubber, text] = [new Scrubber([token]), texts.join('')]
      const pieces = scrubber.pieces()
      let [done, at] = ['', 0]
      for (const size of sizes) {
        done += pieces.push(text.slice(at, at + size))
        at += size
      }
      done += pieces.push(text.slice(at)) + pieces.end()
      assert.equal(done, scrubber.text(text))
    }),
    { numRuns: 300 },
  )
})

test('a secret that is learned while a text comes is taken out of what has not left', () => {
  const scrubber = new Scrubber(['a-longer-secret-that-is-known'])
  const pieces = scrubber.pieces()
  const before = pieces.push(`${'x'.repeat(5_000)}another-sec`)
  scrubber.learn(['another-secret'])
  const said = before + pieces.push(`ret${'x'.repeat(5_000)}`) + pieces.end()
  assert.equal(said, `${'x'.repeat(5_000)}[secret]${'x'.repeat(5_000)}`)
})

test('a value stays what it is but for the secrets in its texts and names', () => {
  const scrubber = new Scrubber([secret])
  const when = new Date(0)
  const value = { n: 1, when, none: null, [secret]: [`a ${secret} b`, { deep: [secret] }], '': 'ä' }
  assert.deepEqual(scrubber.value(value), {
    ...{ n: 1, when, none: null, '': 'ä' },
    '[secret]': ['a [secret] b', { deep: ['[secret]'] }],
  })
  const clean = { a: ['b', { c: null }] }
  assert.equal(scrubber.value(clean), clean)
})

test('no name of a field keeps a value from being looked through', () => {
  const scrubber = new Scrubber([secret])
  for (const name of ['toJSON', 'valueOf', 'constructor', '__proto__', 'then']) {
    const value: unknown = JSON.parse(
      `{"${name}":"1","deep":[{"${name}":{},"said":${JSON.stringify(secret)}}]}`,
    )
    assert.doesNotMatch(JSON.stringify(scrubber.value(value)), /canary/, name)
    assert.doesNotMatch(scrubber.json(JSON.stringify(value)), /canary/, name)
  }
})

test('a secret of digits alone is none as a number either, however many it has', () => {
  for (const digits of ['123456789012345', '98765432109876543210987']) {
    const scrubber = new Scrubber([digits])
    assert.equal(scrubber.json(`{"pin":${digits},"n":7}`), '{"pin":"[secret]","n":7}')
    assert.equal(scrubber.json(`[1.5,"${digits}"]`), '[1.5,"[secret]"]')
  }
  const scrubber = new Scrubber(['123456789012345'])
  assert.deepEqual(scrubber.value([123456789012345, 12]), ['[secret]', 12])
})

test('in turns a value becomes the same, wherever a turn ends', async () => {
  const scrubber = new Scrubber([secret, 'two words of a secret'])
  const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 100 }),
      fc.constantFrom('x', 'a ', 'x\n', '%5c'),
      async (n, unit) => {
        // 4 Ki characters are a turn.
        const before = unit.repeat(16 * 1024).slice(0, 16 * 1024 - n)
        const texts = forms.map((form) => `${before}${form} ${before}${form}`)
        const value = { texts, [`${before}${secret}`]: 'x', short: Array(3000).fill(secret) }
        assert.deepEqual(await scrubber.valueInTurns(value), scrubber.value(value))
        const bytes = Buffer.from(texts.join('ä'))
        const expected = scrubber.text(bytes.toString('latin1'))
        assert.equal((await scrubber.bytesInTurns(bytes)).toString('latin1'), expected)
      },
    ),
    { numRuns: 20 },
  )
  const clean = { a: 'x'.repeat(100_000), b: ['c'] }
  assert.equal(await scrubber.valueInTurns(clean), clean)
})

test('while a long text is looked through, or many short ones, others get their turns', async () => {
  const scrubber = new Scrubber([secret])
  for (const value of ['%5c'.repeat(100_000), Array(20_000).fill('a')]) {
    let turns = 0
    let isDone = false
    const others = (async () => {
      for (; !isDone; turns += 1) await setImmediate()
    })()
    await scrubber.valueInTurns(value)
    isDone = true
    await others
    assert.ok(turns >= 60, `${turns} turns`)
  }
})

test('JSON stays JSON, whatever stands before and behind a secret', () => {
  // Hex that begins within an escape, or with its letter, is no reason to cut the escape in two.
  const scrubber = new Scrubber(['=2a7b-secret', 'necessary-secret', secret])
  fc.assert(
    fc.property(fc.json(), fc.string({ unit: 'binary' }), (json, text) => {
      for (const each of ['=2a7b-secret', 'necessary-secret', secret]) {
        const forms = [
          each,
          Buffer.from(each).toString('hex'),
          Buffer.from(each).toString('base64'),
        ]
        for (const form of forms) {
          const given = JSON.stringify({ text: text + form, [`\\\ud83d${form}`]: json })
          const scrubbed = scrubber.json(given)
          assert.doesNotThrow(() => JSON.parse(scrubbed), given)
          assert.ok(!scrubbed.includes(form), given)
        }
      }
    }),
    { numRuns: 50 },
  )
})

test('a secret that is known for a time is taken out until well after that, then forgotten', () => {
  const scrubber = new Scrubber([secret])
  scrubber.learnUntil('ghs_passing-token', { until: 1000, now: 0 })
  assert.equal(scrubber.text('ghs_passing-token'), '[secret]')
  scrubber.learnUntil('ghs_another-token', { until: 5000, now: 999 })
  assert.equal(scrubber.text('ghs_passing-token'), '[secret]')
  scrubber.learnUntil('ghs_another-token', { until: 5000, now: 1001 })
  assert.equal(scrubber.text('ghs_passing-token'), 'ghs_passing-token')
  assert.equal(scrubber.text(`ghs_another-token ${secret}`), '[secret] [secret]')
})

test('of what is kept by its kind the last word counts, and nothing else is forgotten with it', () => {
  const scrubber = new Scrubber([secret])
  const said = `${secret} first-of-a-kind second-of-a-kind ghs_passing-token`
  scrubber.learnUntil('ghs_passing-token', { until: 1000, now: 0 })
  scrubber.keep('kind', ['first-of-a-kind'])
  assert.equal(scrubber.text(said), '[secret] [secret] second-of-a-kind [secret]')
  scrubber.keep('kind', ['first-of-a-kind', 'second-of-a-kind'])
  assert.equal(scrubber.text(said), '[secret] [secret] [secret] [secret]')
  scrubber.keep('kind', ['second-of-a-kind'])
  assert.equal(scrubber.text(said), '[secret] first-of-a-kind [secret] [secret]')
  scrubber.learnUntil('ghs_another-token', { until: 5000, now: 1001 })
  assert.equal(scrubber.text(said), '[secret] first-of-a-kind [secret] ghs_passing-token')
})

test('a run of what may spell anything takes no longer than other texts', () => {
  const scrubber = new Scrubber([secret, 'another-secret/of-some-length'])
  for (const run of ['\\', '%5c', '\\%5C', '%25', '&amp;', '\\u0026', '+', '\\n'])
    assert.equal(scrubber.text(run.repeat(20_000)), run.repeat(20_000))
})

async function atOnce<T>(step: () => T): Promise<T> {
  return step()
}

async function* each(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* chunks
}

function hexOf(char: string): string {
  return char.charCodeAt(0).toString(16)
}
