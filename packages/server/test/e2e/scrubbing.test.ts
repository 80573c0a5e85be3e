/** An agent that has got hold of a secret of the server says it everywhere; nobody else hears it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import pg from 'pg'
import { collect } from '../delivery/reader.ts'
import { SocketClient } from '../delivery/socket-client.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import type { ServerProcess } from '../support/server.ts'
import { testKey } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { makeWorld, secrets, type World } from '../support/world.ts'

/** As long as a secret, said wherever one is, and nobody's: it shows that a place was reached. */
const decoy = 'decoy"of/the+scrubbing>2c9e'
const needles = { github: secrets.github, model: secrets.model, decoy }

/** Every form of a needle that the agent says, without a space in it. */
function formsOf(needle: string): string[] {
  const base64 = ['', 'a', 'ab'].map((before) =>
    Buffer.from(`${before}${needle}.`).toString('base64'),
  )
  return [needle, encodeURIComponent(needle), JSON.stringify(needle), ...base64]
}

/** What gives a needle away in a text, by what a reader would look for; `\x…` is how bytes are dumped. */
function tracesOf(needle: string): string[] {
  const json = JSON.stringify(needle).slice(1, -1)
  const base64 = ['', 'a', 'ab'].map((before) =>
    Buffer.from(`${before}${needle}.`).toString('base64').slice(4, -4),
  )
  const raw = [needle, json, JSON.stringify(json).slice(1, -1), encodeURIComponent(needle)]
  return [...raw, ...base64, Buffer.from(needle).toString('hex')]
}

const leak = Object.values(needles).flatMap(formsOf).join(' ')
/** More than one row of an artifact, with a needle where the first one ends. */
const filler = 256 * 1024 - 10
const big = (needle: string) =>
  `{ head -c ${filler} /dev/zero | tr '\\0' x; printf %s '${needle}'; } > big-${needle.slice(0, 5)}.txt`
/** As names of files and parts of paths: without a quote or a slash. */
const encoded = Object.values(needles).map(encodeURIComponent).join('_')
const attach = (path: string) => use('mcp__longhaul__attach_artifact', { path })

const scenario = script(
  when(
    'Give it away',
    use('Bash', { command: `printf '%s\\n' '${leak}' > leak.txt; cat leak.txt` }),
    use('Bash', { command: `${big(needles.github)}; ${big(decoy)}` }),
    ...['leak.txt', 'big-canar.txt', 'big-decoy.txt'].map(attach),
    use('Bash', { command: `curl -sS "$ANTHROPIC_BASE_URL/v1/files/${encoded}"` }),
    use('Bash', {
      command: `rm big-*; git add -A; git -c user.name=a -c user.email=a@b commit -qm '${leak}'`,
    }),
    say(`I found ${leak}`),
  ),
  when(
    'Make git say it',
    use('Bash', { command: `touch '${encoded}'; find .git/objects -type d -exec chmod u-w {} +` }),
    say('Done.'),
  ),
  when('Ask about it', use('Bash', { command: `: '${leak}'; touch asked` }), say('Asked.')),
)

let postgres: TestPostgres
let receiver: Receiver
let world: World
let server: ServerProcess
let databaseUrl: string
/** What signs for an endpoint: known since it was made. */
let signing: string
before(async () => {
  postgres = await startPostgres()
  receiver = await openReceiver()
  world = await makeWorld([scenario])
  databaseUrl = await postgres.createDatabase()
  server = await world.start({
    DATABASE_URL: databaseUrl,
    LOG_LEVEL: 'debug',
    CALLBACK_ALLOW: `127.0.0.1:${receiver.port}`,
  })
  const url = `http://127.0.0.1:${receiver.port}/endpoint`
  signing = (await server.post<{ secret: string }>('/v1/endpoints', { url })).secret
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

test('what the server stores, says and sends has no secret of its own, however it is written', async () => {
  const repository = await world.repository('leaky', { 'a.txt': 'a\n' })
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: `Give it away: ${leak} ${formsOf(signing).join(' ')} ${signing.slice(6)}`,
    callbackUrl: `http://127.0.0.1:${receiver.port}/done`,
    payload: { [leak]: leak },
  })
  const { session_id } = await server.task(id)
  const query = 'after=0&event_deltas[]=agent.message'
  const stream = collect(
    (await server.request(`/v1/sessions/${session_id}/events/stream?${query}`)).body,
  )
  const socket = await SocketClient.open(server.url, { key: testKey })
  socket.subscribe(session_id, { after: 0, event_deltas: ['agent.message'] })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  await stream.done
  await until('the callback', () => receiver.received.some(({ path }) => path === '/done'))
  const isAudited = async () => found(JSON.stringify(await server.audit(id)), decoy)
  await until('the audit', isAudited)
  const deltas = stream.messages.filter(({ data }) => data.includes('content_delta'))
  const streamed = deltas.map(({ data }) => JSON.parse(data).delta.content.text).join('')
  const places = {
    'pages of events': JSON.stringify(await server.events(id)),
    'the stream': stream.messages.map(({ data }) => data).join('\n'),
    'its deltas': streamed,
    'the WebSocket': JSON.stringify(socket.said),
    'the task': JSON.stringify(task),
    'the workflow': JSON.stringify(await server.workflow(id)),
    'the diff': await (await server.request(`/v1/tasks/${id}/diff`)).text(),
    'an artifact': await server.artifact(id, 'attached-leak.txt'),
    'the pull request': JSON.stringify(repository.pullRequests),
    'the callback': sentTo('/done'),
    'the endpoint': sentTo('/endpoint'),
    'the audit': JSON.stringify(await server.audit(id)),
    'the database': await dump(),
  }
  for (const [place, text] of Object.entries(places)) assertScrubbed(place, text)
  assertNoSecret('a second row', await server.artifact(id, 'attached-big-canar.txt'))
  assert.ok((await server.artifact(id, 'attached-big-decoy.txt')).endsWith(decoy))
  socket.ws.terminate()
})

test('what a program inside says of its failure is in the log and in the task, without the secrets', async () => {
  const repository = await world.repository('failing', { 'a.txt': 'a\n' })
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Make git say it' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'agent_error')
  assertScrubbed('the error of the task', JSON.stringify(task.error))
  const lines = server.output.split('\n').filter((line) => line.includes(id))
  assertScrubbed('its lines of the log', lines.join('\n'))
  assertNoSecret('the log', server.output)
})

test('what a human is asked, and answers, has no secret, and the same answer again is the same', async () => {
  const repository = await world.repository('asking', { 'a.txt': 'a\n' })
  const configs = [{ name: 'bash', permission_policy: { type: 'always_ask' } }]
  const tools = [{ type: 'agent_toolset_20260401', configs }]
  const asking = { name: 'asking', model: 'claude-sonnet-5-5', tools }
  const { id: agent } = await server.post<{ id: string }>('/v1/agents', asking)
  const order = { repoUrl: repository.url, instructions: 'Ask about it', agent }
  const { id } = await server.order(order)
  const list = `/v1/tasks/${id}/approvals`
  const { approval_id: approvalId } = await server.event(
    id,
    ({ type }) => type === 'task.approval_requested',
  )
  const one = `${list}/${approvalId}`
  const input = { command: `: ${formsOf(signing)[1]} '${leak}'; touch edited` }
  const asked = [await read(list), await read('/v1/approvals'), await read(one)]
  const answer = { decision: 'allow', input }
  const answered = await (await server.send(one, answer)).text()
  const again = await server.send(one, answer)
  assert.equal(again.status, 200)
  const other = await server.send(one, { decision: 'deny', message: leak })
  assert.equal(other.status, 409)
  const task = await server.ended(id)
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'edited'), '')
  const places = {
    'what is asked': asked.join('\n'),
    'the answer': answered,
    'the same again': await again.text(),
    'what is refused': await other.text(),
    'what was answered': await read(one),
    'its events': JSON.stringify(await server.events(id)),
    'the database': await dump(),
  }
  for (const [place, text] of Object.entries(places)) assertScrubbed(place, text)
})

test('an error that repeats what was sent does not repeat a secret, nor a part of one', async () => {
  const { github } = needles
  const padded = (chars: number) => `${decoy}${'x'.repeat(chars - decoy.length - 12)}${github}`
  // In the middle of the secret the 200th character, and the end of what is repeated.
  const known = `/v1/${Buffer.from(decoy).toString('base64url')}`
  const long = `${known}${'x'.repeat(200 - known.length - 12)}${encodeURIComponent(github)}`
  const socket = await SocketClient.open(server.url, { key: testKey })
  socket.tell({ type: padded(80), session_id: leak, [padded(80)]: signing })
  const said = await socket.message(({ type }) => type === 'error')
  socket.ws.terminate()
  const schedule = { name: 'a', cron: '@daily', order: { type: padded(80), [decoy]: leak } }
  const headers = { 'content-type': `text/${leak}` }
  const places = {
    'a bad order': await refused('/v1/tasks', { type: leak, [padded(80)]: signing }),
    'a long value': await refused('/v1/tasks', { type: padded(80) }),
    'a bad schedule': await refused('/v1/schedules', schedule),
    'a bad query': await read(`/v1/tasks?limit=${encodeURIComponent(padded(80))}`),
    'a path that is none': await read(long),
    'another type': await read('/v1/tasks', { method: 'POST', body: '{}', headers }),
    'the WebSocket': JSON.stringify(said),
  }
  for (const [place, text] of Object.entries(places)) {
    assertScrubbed(place, text)
    assert.ok(!text.includes('canary'), `${place} has a part of a secret: ${text}`)
  }
  const malformed = await read('/v1/tasks', { method: 'POST', body: `{"token": ${github}}` })
  assert.match(malformed, /not JSON: Unexpected token 'c'/)
  assert.ok(!malformed.includes('canary'), malformed)
})

async function read(path: string, init?: RequestInit): Promise<string> {
  return (await server.request(path, init)).text()
}

async function refused(path: string, body: object): Promise<string> {
  const response = await server.send(path, body)
  assert.equal(response.status, 400)
  return response.text()
}

function sentTo(path: string): string {
  const sent = receiver.received.filter((each) => each.path === path)
  return sent.map(({ body }) => body).join('\n')
}

/** It was reached, by the decoy at least. */
function assertScrubbed(place: string, text: string): void {
  assert.ok(found(text, decoy), `${place} has no decoy: ${text.slice(0, 2000)}`)
  assertNoSecret(place, text)
}

function assertNoSecret(place: string, text: string): void {
  const known = { github: needles.github, model: needles.model, signing: signing.slice(6) }
  for (const [name, secret] of Object.entries(known))
    assert.ok(!found(text, secret), `${place} has the secret ${name}`)
}

function found(text: string, needle: string): boolean {
  return tracesOf(needle).some((trace) => text.includes(trace))
}

/** Every row of every table, as text; bytes are hex. Without the rows that the secrets are for. */
async function dump(): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const tables = await client.query<{ name: string }>(
      "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'pgboss') and tablename <> 'endpoints'",
    )
    const texts: string[] = []
    for (const { name } of tables.rows) {
      const { rows } = await client.query<{ row: string }>(`select t::text as row from ${name} t`)
      texts.push(...rows.map(({ row }) => row.replaceAll('""', '"').replaceAll('\\\\', '\\')))
    }
    return texts.join('\n')
  } finally {
    await client.end()
  }
}
