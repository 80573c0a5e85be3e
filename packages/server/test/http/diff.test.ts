import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { putDiff } from '../../src/store/diffs.ts'
import { LeaseLost } from '../../src/store/lease-lost.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

const base = 'a'.repeat(40)

/** A task with a difference between two commits. */
async function changed(commit: string) {
  const { id, session_id: sessionId } = await server.order()
  const { db } = server.store
  const now = new Date()
  const { attempt } = await claimSession(db, { id: sessionId, node: 'n', now })
  const put = (tip: string, o: { attempt: number } = { attempt }) =>
    putDiff(db, {
      ...{ sessionId, now, baseCommit: base, commit: tip, ...o },
      patch: Buffer.from(`diff --git a/é b/é\n${tip}\xff`, 'latin1'),
      body: Buffer.from(JSON.stringify({ commit: tip, files: [], nul: '\0' })),
    })
  await put(commit)
  return { id, put, attempt, path: `/v1/tasks/${id}/diff` }
}

test('a difference is JSON, or a patch for who asks for one, byte for byte', async () => {
  const { id, path } = await changed('b'.repeat(40))
  const answer = await server.send('GET', path)
  assert.equal(answer.headers.get('content-type'), 'application/json')
  assert.deepEqual(JSON.parse(await answer.text()), {
    commit: 'b'.repeat(40),
    files: [],
    nul: '\0',
  })
  const asked: [string, Record<string, string>, string][] = [
    ['', { accept: 'text/x-patch' }, 'text/x-patch'],
    ['', { accept: 'application/json;q=0.5, text/x-patch' }, 'text/x-patch'],
    ['?format=patch', { accept: 'application/json' }, 'text/x-patch'],
    ['?format=json', { accept: 'text/x-patch' }, 'application/json'],
    ['', { accept: '*/*' }, 'application/json'],
    ['', { accept: 'text/html' }, 'application/json'],
  ]
  for (const [query, headers, type] of asked) {
    const { headers: got } = await server.send('GET', path + query, { headers })
    assert.equal(got.get('content-type'), type, JSON.stringify([query, headers]))
  }
  const patch = await server.send('GET', `${path}?format=patch`)
  assert.equal(patch.headers.get('content-disposition'), `attachment; filename="${id}.patch"`)
  assert.equal(patch.headers.get('x-content-type-options'), 'nosniff')
  const bytes = Buffer.from(await patch.arrayBuffer())
  assert.ok(bytes.equals(Buffer.from(`diff --git a/é b/é\n${'b'.repeat(40)}\xff`, 'latin1')))
  assert.equal(await (await server.send('HEAD', path)).text(), '')
})

test('a difference changes with each commit, and only the session’s attempt writes it', async () => {
  const { path, put, attempt } = await changed('b'.repeat(40))
  const etag = (await server.send('GET', path)).headers.get('etag') ?? ''
  const headers = { 'if-none-match': etag }
  assert.equal((await server.send('GET', path, { headers })).status, 304)
  const other = await server.send('GET', `${path}?format=patch`, { headers })
  assert.equal(other.status, 200)
  await put('c'.repeat(40))
  const next = await server.send('GET', path, { headers })
  assert.equal(next.status, 200)
  assert.equal(JSON.parse(await next.text()).commit, 'c'.repeat(40))
  await assert.rejects(put('d'.repeat(40), { attempt: attempt + 1 }), LeaseLost)
})
