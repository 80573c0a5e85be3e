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
const attach = (path: string) => use('mcp__longhaul__attach_artifact', { path })

const scenario = script(
  when(
    'Give it away',
    use('Bash', { command: `printf '%s\\n' '${leak}' > leak.txt; cat leak.txt` }),
    use('Bash', { command: `${big(needles.github)}; ${big(decoy)}` }),
    ...['leak.txt', 'big-canar.txt', 'big-decoy.txt'].map(attach),
    use('Bash', {
      command: `rm big-*; git add -A; git -c user.name=a -c user.email=a@b commit -qm '${leak}'`,
    }),
    say(`I found ${leak}`),
  ),
)

let postgres: TestPostgres
let receiver: Receiver
let world: World
let server: ServerProcess
let databaseUrl: string
before(async () => {
  postgres = await startPostgres()
  receiver = await openReceiver()
  world = await makeWorld([scenario])
  databaseUrl = await postgres.createDatabase()
  server = await world.start({
    DATABASE_URL: databaseUrl.replace('@/', '@localhost/'),
    LOG_LEVEL: 'debug',
    CALLBACK_ALLOW: `127.0.0.1:${receiver.port}`,
  })
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
    instructions: `Give it away: ${leak}`,
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
  const refused = await server.send('/v1/tasks', { type: leak, [decoy]: 1 })

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
    'the callback': receiver.received.map(({ body }) => body).join('\n'),
    'an error': await refused.text(),
    'the database': await dump(),
  }
  for (const [place, text] of Object.entries(places)) {
    assert.ok(found(text, decoy), `${place} has no decoy: ${text.slice(0, 2000)}`)
    for (const name of ['github', 'model'] as const)
      assert.ok(!found(text, needles[name]), `${place} has the secret ${name}`)
  }
  const silent = {
    'the log': server.output,
    'the audit': JSON.stringify(await server.audit(id)),
    'a second row': await server.artifact(id, 'attached-big-canar.txt'),
  }
  for (const [place, text] of Object.entries(silent))
    for (const name of ['github', 'model'] as const)
      assert.ok(!found(text, needles[name]), `${place} has the secret ${name}`)
  assert.ok((await server.artifact(id, 'attached-big-decoy.txt')).endsWith(decoy))
  socket.ws.terminate()
})

function found(text: string, needle: string): boolean {
  return tracesOf(needle).some((trace) => text.includes(trace))
}

/** Every row of every table, as text; bytes are hex. */
async function dump(): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const tables = await client.query<{ name: string }>(
      "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'pgboss')",
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
