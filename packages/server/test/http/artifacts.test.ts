import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { putArtifact } from '../../src/store/artifacts.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

/** Puts a file into a task of its own, and answers its path. */
async function put(name: string, data: Buffer, contentType = 'text/plain') {
  const { id, session_id: sessionId } = await server.order()
  const path = `/v1/tasks/${id}/artifacts/${encodeURIComponent(name)}`
  const again = async (content: Buffer) => {
    const made = { sessionId, attempt: 1, createdBy: null, now: new Date() }
    await putArtifact(server.store.db, { ...made, name, contentType, data: content })
  }
  await again(data)
  return { id, sessionId, path, again }
}

test('an artifact is saved, never shown, whatever it claims to be', async () => {
  const { id, session_id: sessionId } = await server.order()
  const name = `<b> "übel".html`
  const data = Buffer.from(`<script>alert(1)</script>${'x'.repeat(700_000)}`)
  const now = new Date()
  const made = { sessionId, attempt: 1, createdBy: null, now }
  const { db } = server.store
  await putArtifact(db, { ...made, name, contentType: 'text/html', data })
  await putArtifact(db, { ...made, name: 'report.md', contentType: 'text/markdown', data })
  const path = `/v1/tasks/${id}/artifacts/${encodeURIComponent(name)}`
  const answer = await server.send('GET', path)
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get('content-type'), 'application/octet-stream')
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
  assert.equal(
    answer.headers.get('content-disposition'),
    `attachment; filename="_b_ __bel_.html"; filename*=UTF-8''%3Cb%3E%20%22%C3%BCbel%22.html`,
  )
  assert.equal(answer.headers.get('content-length'), String(data.length))
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), data)
  const report = await server.send('HEAD', `/v1/tasks/${id}/artifacts/report.md`)
  assert.equal(report.headers.get('content-type'), 'text/markdown')
})

test('artifacts are listed in pages, the oldest first, without their content', async () => {
  const { id, sessionId } = await put('b.txt', Buffer.from('1'))
  const made = { sessionId, attempt: 2, createdBy: null, contentType: 'text/plain' }
  for (const [n, name] of ['c.txt', 'a.txt'].entries()) {
    const now = new Date(Date.now() + (n + 1) * 1000)
    await putArtifact(server.store.db, { ...made, name, data: Buffer.alloc(3), now })
  }
  const seen: { name: string; bytes: number }[] = []
  for (let next: string | null = ''; next !== null; ) {
    const answer = await server.send(
      'GET',
      `/v1/tasks/${id}/artifacts?limit=2${next && `&page=${next}`}`,
    )
    const page: { data: typeof seen; next_page: string | null } = JSON.parse(await answer.text())
    seen.push(...page.data)
    next = page.next_page
  }
  assert.deepEqual(
    seen.map(({ name, bytes }) => [name, bytes]),
    [
      ['b.txt', 1],
      ['c.txt', 3],
      ['a.txt', 3],
    ],
  )
  assert.deepEqual(Object.keys(seen[0] ?? {}).sort(), [
    'attempt',
    'bytes',
    'content_type',
    'created_at',
    'id',
    'name',
  ])
})

test('one range of an artifact is sent alone, wherever it begins and ends', async () => {
  // Three chunks and a bit: ranges that cross them, lie in one, and end where one ends.
  const chunk = 256 * 1024
  const data = Buffer.from(
    Array.from({ length: 3 * chunk + 77 }, (_, n) => (n * 31 + (n >> 8)) & 255),
  )
  const { path } = await put('data.bin', data)
  const parts: (readonly [range: string, first: number, last: number])[] = [
    ['bytes=0-0', 0, 0],
    ['bytes=0-', 0, data.length - 1],
    [`bytes=${chunk - 1}-${chunk}`, chunk - 1, chunk],
    [`bytes=${chunk}-${2 * chunk - 1}`, chunk, 2 * chunk - 1],
    [`bytes=10-${data.length + 500}`, 10, data.length - 1],
    ['bytes=-78', data.length - 78, data.length - 1],
    [`bytes=-${data.length * 2}`, 0, data.length - 1],
    [`bytes=${data.length - 1}-`, data.length - 1, data.length - 1],
  ]
  for (const [range, first, last] of parts) {
    const answer = await server.send('GET', path, { headers: { range } })
    assert.equal(answer.status, 206, range)
    assert.equal(answer.headers.get('content-range'), `bytes ${first}-${last}/${data.length}`)
    assert.equal(answer.headers.get('content-length'), String(last - first + 1))
    const got = Buffer.from(await answer.arrayBuffer())
    assert.ok(got.equals(data.subarray(first, last + 1)), range)
  }
  for (const range of ['bytes=0-1,3-4', 'bytes=5-2', 'bytes=-', 'lines=0-1', 'bytes=a-b', '']) {
    const answer = await server.send('GET', path, { headers: { range } })
    assert.equal(answer.status, 200, range)
    assert.equal((await answer.arrayBuffer()).byteLength, data.length)
  }
})

test('a range of which nothing is there is refused, with the size that there is', async () => {
  const { path } = await put('five.txt', Buffer.from('12345'))
  const empty = await put('none.txt', Buffer.alloc(0))
  for (const [of, range, size] of [
    [path, 'bytes=5-', 5],
    [path, 'bytes=9-12', 5],
    [path, 'bytes=-0', 5],
    [empty.path, 'bytes=0-', 0],
  ] as const) {
    const answer = await server.send('GET', of, { headers: { range } })
    assert.equal(answer.status, 416)
    assert.equal(answer.headers.get('content-range'), `bytes */${size}`)
    const { error } = JSON.parse(await answer.text())
    assert.equal(error.details.error_code, 'range_not_satisfiable')
    assert.ok(error.message.includes(`within the ${size}`) && error.message.includes(range))
  }
})

test('a reader that resumes gets the rest of the same file, or all of the one in its place', async () => {
  const { path, again } = await put('log.txt', Buffer.from('0123456789'))
  const first = await server.send('HEAD', path)
  assert.equal(first.headers.get('accept-ranges'), 'bytes')
  assert.equal(first.headers.get('content-length'), '10')
  assert.equal(await first.text(), '')
  const etag = first.headers.get('etag') ?? ''
  const rest = { range: 'bytes=4-', 'if-range': etag }
  const same = await server.send('GET', path, { headers: rest })
  assert.equal(same.status, 206)
  assert.equal(await same.text(), '456789')
  const ranged = await server.send('HEAD', path, { headers: rest })
  assert.equal(ranged.status, 200)
  for (const tag of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
    const known = await server.send('GET', path, { headers: { 'if-none-match': tag } })
    assert.equal(known.status, 304)
    assert.equal(known.headers.get('etag'), etag)
    assert.equal(await known.text(), '')
  }
  await again(Buffer.from('abcdef'))
  const other = await server.send('GET', path, { headers: { ...rest, 'if-none-match': etag } })
  assert.equal(other.status, 200)
  assert.equal(await other.text(), 'abcdef')
  const dated = { ...rest, 'if-range': new Date().toUTCString() }
  assert.equal((await server.send('GET', path, { headers: dated })).status, 200)
})
