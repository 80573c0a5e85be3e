import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock as clock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { AuditWriter } from '../../src/store/audit-writer.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
const sessionId = newId('sesn', clock)
before(async () => {
  server = await openTestApp()
  await using writer = new AuditWriter({ ...server, clock, log: createLog('silent') })
  for (const verdict of ['allowed', 'denied', 'denied'])
    writer.append({ sessionId, kind: 'gateway', entry: { verdict, host: 'a.example' } })
  writer.append({ sessionId: null, kind: 'gateway', entry: { verdict: 'allowed' } })
})
after(() => server[Symbol.asyncDispose]())

async function list(query: string) {
  const answer = await server.send('GET', `/v1/audit${query}`)
  return { status: answer.status, ...JSON.parse(await answer.text()) }
}

test('the audit is read in pages, in order, for a session that need not be there', async () => {
  const seen: unknown[] = []
  let page = ''
  for (;;) {
    const found = await list(`?session_id=${sessionId}&limit=2${page}`)
    seen.push(...found.data)
    if (found.next_page === null) break
    page = `&page=${found.next_page}`
  }
  assert.equal(seen.length, 3)
  const { id, at, writer, hash, ...first } = Object(seen[0])
  assert.match(`${id} ${at} ${writer} ${hash}`, /^audit_\S{26} \S+Z \S+ [0-9a-f]{64}$/)
  assert.deepEqual(first, {
    type: 'audit_entry',
    session_id: sessionId,
    kind: 'gateway',
    seq: 1,
    prev_hash: '0'.repeat(64),
    entry: { verdict: 'allowed', host: 'a.example' },
  })
  assert.equal((await list(`?session_id=${sessionId}&verdict=denied`)).data.length, 2)
  assert.equal((await list('')).data.length, 4)
})

test('what is asked for in another way is refused by name', async () => {
  for (const query of ['?session_id=x', '?verdict=maybe', '?page=-1', '?limit=0', '?x=1'])
    assert.equal((await list(query)).status, 400, query)
})

test('reading the audit needs a scope of its own, which does nothing else', async () => {
  const status = async (scope: 'audit:read' | 'tasks:read', path: string) => {
    const key = await createKey({ store: server.store, clock }, { name: 'k', scopes: [scope] })
    const headers = { authorization: `Bearer ${key}` }
    return (await server.send('GET', path, { headers })).status
  }
  assert.equal(await status('audit:read', '/v1/audit'), 200)
  assert.equal(await status('tasks:read', '/v1/audit'), 403)
  assert.equal(await status('audit:read', '/v1/tasks'), 403)
})
