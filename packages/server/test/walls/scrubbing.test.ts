/**
 * An agent that got hold of a secret of the server and says it, at each place where what it says is
 * stored or leaves: the secret is the canary. `e2e/scrubbing.test.ts` goes through all of them.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Previews } from '../../src/agent/previews.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { appendEvents, type NewEvent } from '../../src/events/append.ts'
import { readEvents } from '../../src/events/read.ts'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { createGitHub } from '../../src/gateway/github.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { getArtifact, putArtifact } from '../../src/store/artifacts.ts'
import { auditHash, listAudit } from '../../src/store/audit.ts'
import { AuditWriter } from '../../src/store/audit-writer.ts'
import { getDiff, putDiff } from '../../src/store/diffs.ts'
import type { Store } from '../../src/store/open.ts'
import { insertSchedule } from '../../src/store/schedules.ts'
import { appendTranscript, loadTranscript } from '../../src/store/transcripts.ts'
import { startUpstream } from '../gateway/harness.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { makeClaimedSession } from '../support/sessions.ts'
import { canary, plant } from './attack.ts'

const secret = `${canary}"of/the+scrubbing>2c9e`
const leak = `it is ${secret}, or ${Buffer.from(secret).toString('base64')}`
const scrubber = new Scrubber([secret])
const log = createLog('silent')

let postgres: TestPostgres
let store: Store
before(async () => {
  postgres = await startPostgres()
  store = await postgres.openStore({ scrubber })
})
after(async () => {
  await store[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

/** Something was said, and neither the secret nor a part of it, however it is written. */
function assertScrubbed(said: string): void {
  assert.ok(said !== '', 'nothing was said')
  const traces = [canary, Buffer.from(canary).toString('base64').slice(0, -4)]
  const found = traces.find((trace) => said.includes(trace))
  assert.equal(found, undefined, `the canary was said: ${said.slice(-300)}`)
}

async function appended(event: NewEvent) {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  await appendEvents(store.db, { sessionId, attempt, events: [event], clock })
  const [stored] = await readEvents(store.db, { sessionId, after: 0, limit: 1 })
  return stored ?? assert.fail('the event is not stored')
}

async function attached(data: string): Promise<string> {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const made = { name: 'a.txt', contentType: 'text/plain', createdBy: null, now: new Date() }
  await putArtifact(store.db, { ...made, sessionId, attempt, data: Buffer.from(data) })
  const stored = await getArtifact(store.db, { sessionId, name: 'a.txt' })
  assert.ok(stored)
  return Buffer.concat(await Array.fromAsync(stored.read())).toString()
}

async function diffed(form: 'patch' | 'body'): Promise<string> {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const patch = Buffer.from(`+${leak}\n`)
  const body = Buffer.from(JSON.stringify({ lines: [leak] }))
  const commits = { baseCommit: 'a', commit: 'b' }
  await putDiff(store.db, { sessionId, attempt, now: new Date(), ...commits, patch, body })
  return String((await getDiff(store.db, { sessionId, form }))?.content)
}

test('an event does not say the secret', async () => {
  assertScrubbed(JSON.stringify(await appended({ type: 'agent.message', text: leak, [leak]: 1 })))
})

test('an event that calls a field toJSON does not say the secret', async () => {
  const input = { toJSON: '1', description: leak }
  assertScrubbed(JSON.stringify(await appended({ type: 'agent.tool_use', name: 'Bash', input })))
})

test('a long text is not cut within the secret, where a part of it would be left', async () => {
  // Events that are too large keep 8 KiB of a text.
  const text = `${'x'.repeat(8 * 1024 - canary.length - 15)}${leak}${'y'.repeat(100_000)}`
  const event = await appended({ type: 'agent.message', text })
  assert.equal(event['truncated'], true)
  assertScrubbed(String(event['text']))
})

test('what a schedule orders, as all that is in the database, does not say the secret', async () => {
  const order = { type: 'custom', instructions: leak, payload: { [leak]: [leak] } }
  const schedule = await insertSchedule(store.db, {
    ...{ id: newId('sched', clock), createdBy: 'key_none', now: new Date() },
    ...{ nextAt: null, nextScheduledAt: null },
    content: {
      ...{ name: leak, cron: '@hourly', time_zone: 'UTC', order },
      ...{ overlap: 'skip', catch_up: 'last', jitter_seconds: 0, paused: false },
    },
  })
  assertScrubbed(JSON.stringify(schedule))
})

test('a transcript does not say the secret', async () => {
  const { sessionId, attempt } = await makeClaimedSession(store.db)
  const [conversationId, subpath] = [randomUUID(), '']
  const key = { projectKey: 'p', conversationId, subpath }
  const entries = [{ type: 'user', [leak]: leak, uuid: randomUUID() }]
  await appendTranscript(store.db, { sessionId, attempt, key, entries })
  const stored = await loadTranscript(store.db, { sessionId, conversationId, subpath })
  assertScrubbed(JSON.stringify(stored))
})

test('an artifact does not say the secret', async () => {
  assertScrubbed(await attached(leak))
})

test('an artifact does not say the secret where one of its rows ends', async () => {
  // A row takes 256 KiB.
  assertScrubbed(await attached(`${'x\n'.repeat(128 * 1024 - 16)}${leak}`))
})

test('a difference that is read as a patch does not say the secret', async () => {
  assertScrubbed(await diffed('patch'))
})

test('a difference that is read as JSON does not say the secret', async () => {
  assertScrubbed(await diffed('body'))
})

test('a pull request does not say the secret', async () => {
  await using upstream = await startUpstream((request, response) => {
    response.writeHead(request.method === 'POST' ? 201 : 200, {
      'content-type': 'application/json',
    })
    const pull = { html_url: 'https://github.example/acme/app/pull/1', number: 1, state: 'open' }
    const head = { ref: 'agent/x', sha: 'a1' }
    response.end(JSON.stringify(request.method === 'POST' ? { ...pull, head } : []))
  })
  const github = createGitHub({
    ...{ apiUrl: new URL(upstream.url), owner: 'acme', repo: 'app', scrubber, log, clock },
    credential: fixedCredential('token-of-the-server'),
  })
  await github.openPullRequest({
    ...{ head: 'agent/x', base: 'main', title: leak, body: leak, draft: false, replaces: null },
    signal: AbortSignal.timeout(60_000),
  })
  assertScrubbed(upstream.requests.map(({ body }) => body).join('\n'))
})

test('an answer that streams does not say the secret, whatever its pieces', () => {
  const previews = new Previews({ clock, scrubber })
  const index = 0
  const frames = [
    { type: 'message_start', message: { id: 'msg_1' } },
    { type: 'content_block_start', index, content_block: { type: 'text', text: '' } },
    ...[...leak].map((text) => ({
      ...{ type: 'content_block_delta', index },
      delta: { type: 'text_delta', text },
    })),
    { type: 'content_block_stop', index },
  ]
  const events = frames.flatMap((frame) => previews.streamed('main', frame))
  const deltas = JSON.parse(JSON.stringify(events.filter(({ type }) => type === 'event_delta')))
  const texts = deltas.map(
    (each: { delta: { content: { text: string } } }) => each.delta.content.text,
  )
  assertScrubbed(texts.join(''))
})

async function audited(sessionId: string) {
  {
    await using writer = new AuditWriter({ store, clock, log, scrubber })
    writer.append({ sessionId, kind: 'gateway', entry: { path: leak, [leak]: [leak] } })
  }
  const [row] = await listAudit(store.db, { sessionId, after: 0, limit: 1 })
  return row ?? assert.fail('the entry is not stored')
}

test('the audit does not say the secret', async () => {
  assertScrubbed(JSON.stringify((await audited('sesn_audit')).entry))
})

test('the audit’s hashes are of what can be read, without the secret', async () => {
  const { hash, position: _, ...row } = await audited('sesn_hash')
  assert.equal(hash, auditHash(row), 'the hash is of the canary')
})

test('a line of the log does not say the secret', async () => {
  const source = `
    import { createLog } from ${JSON.stringify(import.meta.resolve('../../src/log.ts'))}
    import { Scrubber } from ${JSON.stringify(import.meta.resolve('../../src/scrub/scrubber.ts'))}
    const leak = ${JSON.stringify(leak)}
    createLog('info', new Scrubber([${JSON.stringify(secret)}])).info({ [leak]: leak }, leak)`
  const options = ['--conditions=longhaul', '--input-type=module', '-e', source]
  assertScrubbed(await plant(process.execPath, ...options))
})
