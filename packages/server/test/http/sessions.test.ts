import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Session, sessionPage } from '@longhaul/client/contract'
import { addUsage, claimSession, setSessionStatus } from '../../src/store/sessions.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

async function read(path: string): Promise<Session> {
  const answer = await server.send('GET', path)
  assert.equal(answer.status, 200)
  return JSON.parse(await answer.text())
}

/** All sessions that fit, over pages of two. */
async function list(query: string): Promise<Session[]> {
  const seen: Session[] = []
  for (let next: string | null = ''; next !== null; ) {
    const path: string = `/v1/sessions?limit=2&${query}${next && `&page=${next}`}`
    const answer = await server.send('GET', path)
    const page = sessionPage.parse(JSON.parse(await answer.text()))
    assert.ok(page.data.length <= 2)
    seen.push(...page.data)
    next = page.next_page
  }
  return seen
}

const idsOf = (sessions: readonly Session[]) => sessions.map(({ id }) => id)
const cancel = (id: string) => server.send('POST', `/v1/tasks/${id}/cancel`)

test('a session says what it is, which task it works on, and what it used', async () => {
  const { id, session_id: sessionId } = await server.order()
  const fresh = await read(`/v1/sessions/${sessionId}`)
  assert.deepEqual(
    [fresh.type, fresh.status, fresh.task_id, fresh.attempt, fresh.last_seq, fresh.archived_at],
    ['session', 'idle', id, 0, 2, null],
  )
  assert.equal(fresh.usage.input_tokens, 0)
  assert.ok('id' in fresh.agent)
  const { db } = server.store
  await claimSession(db, { id: sessionId, node: 'n', now: new Date() })
  const usage = {
    ...{ input_tokens: 1, output_tokens: 2 },
    ...{ cache_read_input_tokens: 3, cache_creation_input_tokens: 4 },
  }
  await addUsage(db, { id: 'req_1', sessionId, usage, costUsd: 0.25 })
  const used = await read(`/v1/sessions/${sessionId}`)
  assert.deepEqual(
    [used.status, used.attempt, used.usage, used.cost_usd],
    ['running', 1, usage, 0.25],
  )
})

test('sessions are listed by creation, in pages, by status, agent and time', async () => {
  const { session_id: before } = await server.order()
  const { created_at: from } = await read(`/v1/sessions/${before}`)
  const made: { id: string; session_id: string }[] = []
  for (const type of ['refactor', 'test', 'custom', 'custom', 'custom'])
    made.push(await server.order({ type }))
  const ids = made.map(({ session_id }) => session_id)
  const since = `created_at[gt]=${from}`
  assert.deepEqual(idsOf(await list(since)), ids.toReversed())
  assert.deepEqual(idsOf(await list(`${since}&order=asc`)), ids)
  await cancel(made[1]?.id ?? '')
  await setSessionStatus(server.store.db, {
    id: ids[2] ?? '',
    status: 'rescheduling',
    now: new Date(),
  })
  assert.deepEqual(idsOf(await list(`${since}&statuses=terminated`)), [ids[1]])
  assert.deepEqual(idsOf(await list(`${since}&statuses[]=terminated&statuses[]=rescheduling`)), [
    ids[2],
    ids[1],
  ])
  const custom = (await read(`/v1/sessions/${ids[3]}`)).agent['id']
  assert.deepEqual(idsOf(await list(`${since}&agent_id=${custom}`)), ids.slice(2).toReversed())
})

test('a session that is over is archived once: lists leave it out, unless they are asked for it', async () => {
  const { id, session_id: sessionId } = await server.order()
  const archive = () => server.send('POST', `/v1/sessions/${sessionId}/archive`)
  const early = await archive()
  assert.equal(early.status, 409)
  assert.equal(early.headers.get('x-should-retry'), 'false')
  const { error } = JSON.parse(await early.text())
  assert.equal(error.details.error_code, 'session_not_terminated')
  assert.match(error.message, /it is idle/)
  await cancel(id)
  const archived: Session = JSON.parse(await (await archive()).text())
  assert.ok(archived.archived_at)
  assert.deepEqual(JSON.parse(await (await archive()).text()), archived)
  const isListed = async (query: string) => idsOf(await list(query)).includes(sessionId)
  assert.equal(await isListed('statuses=terminated'), false)
  assert.equal(await isListed('include_archived=false'), false)
  assert.equal(await isListed('include_archived=true'), true)
  assert.deepEqual(await read(`/v1/sessions/${sessionId}`), archived)
})
