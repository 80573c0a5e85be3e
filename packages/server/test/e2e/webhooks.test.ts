/** What an endpoint is told of a real task, and what a crash between an end and its delivery costs. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { webhookHeaders, webhooks } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { Webhook } from 'standardwebhooks'
import { ask, storeIn } from '../support/postgres.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { brokenSum, secrets as canaries, makeWorld, mend, type World } from '../support/world.ts'

const scenario = script(
  when(
    'Make sum add',
    use('Bash', { command: mend }),
    use('mcp__longhaul__report_progress', { message: 'It adds.', percent: 90 }),
    say('sum.sh adds now.'),
  ),
)

let world: World
let receiver: Receiver
let settings: Record<string, string>
before(async () => {
  world = await makeWorld([scenario])
  receiver = await openReceiver()
  settings = { CALLBACK_ALLOW: `127.0.0.1:${receiver.port}` }
})
after(async () => {
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const called = (path: string) => receiver.received.filter((one) => one.path === path)

test('an endpoint hears of a task as it goes, in the form that the OpenAPI document describes, full or thin', async () => {
  await using server = await world.start(settings)
  const document = await server.get<{ webhooks: object }>('/openapi.json')
  const described = webhooks.map(({ event }) => event)
  assert.deepEqual(Object.keys(document.webhooks), described)
  const events = described.filter((event) => event !== 'endpoint.test')
  const url = `http://127.0.0.1:${receiver.port}/`
  const made: string[] = []
  const secrets = new Map<string, string>([['/callback', canaries.callback]])
  for (const payload of ['full', 'thin']) {
    const given = { url: `${url}${payload}`, events, payload }
    const { id, secret } = await server.post<{ id: string; secret: string }>('/v1/endpoints', given)
    secrets.set(`/${payload}`, secret)
    made.push(id)
    const tried = await server.request(`/v1/endpoints/${id}/test`, { method: 'POST' })
    assert.equal(tried.status, 201)
  }
  const bash = { name: 'bash', permission_policy: { type: 'always_ask' } }
  const { id: agent } = await server.post<{ id: string }>('/v1/agents', {
    ...{ name: 'asking', model: 'claude-sonnet-5-5' },
    tools: [{ type: 'agent_toolset_20260401', configs: [bash] }],
  })
  const repository = await world.repository('described', brokenSum)
  const order = { repoUrl: repository.url, instructions: 'Make sum add.', agent }
  const { id } = await server.order({ ...order, callbackUrl: `${url}callback` })
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  const { data } = await server.get<{ data: { id: string }[] }>(`/v1/tasks/${id}/approvals`)
  await server.post(`/v1/tasks/${id}/approvals/${data[0]?.id}`, { decision: 'allow' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const later = new Date(Date.now() + 3_600_000).toISOString()
  const delayed = await server.post<{ id: string }>('/v1/tasks', {
    ...{ type: 'custom', repo_url: repository.url, instructions: 'Never.', start_at: later },
  })
  await server.cancel(delayed.id)

  const named = (path: string) =>
    called(path).map(({ body, headers }) => {
      const said = JSON.parse(body)
      const event = said.type === 'event' ? said.data.type : said.type
      const schema = webhooks.find((one) => one.event === event)?.body
      // What a schema does not name is not in what it reads.
      assert.deepEqual(schema?.parse(said), said, event)
      webhookHeaders.parse(headers)
      new Webhook(secrets.get(path) ?? '').verify(body, headers)
      return event
    })
  for (const path of ['/full', '/thin'])
    await until('all events', () => new Set(named(path)).size === described.length, 90_000)
  await until('the callback', () => called('/callback').length === 1)
  assert.deepEqual(named('/callback'), ['task.completed'])
  const told = called('/full')
    .map(({ body }) => JSON.parse(body))
    .filter(({ data }) => data.id === id && data.seq !== undefined)
  const ofTask = ['task.started', 'task.waiting', 'task.progress', 'task.completed']
  assert.deepEqual(
    told.map(({ type }) => type),
    ofTask,
  )
  assert.equal(told[1].data.approval.id, data[0]?.id)
  assert.deepEqual(told[2].data.progress, { message: 'It adds.', percent: 90 })
  assert.deepEqual(told[3].data.result, task.result)
  const log = await server.events(id)
  const types = told.map(({ data: { seq: number } }) => log.find(({ seq }) => seq === number)?.type)
  assert.deepEqual(types, ['task.updated', 'task.updated', 'task.progress', 'task.completed'])
  const thin = called('/thin').map(({ body }) => JSON.parse(body).data)
  assert.ok(thin.every(({ reason }) => reason === undefined))
  for (const each of made) await server.request(`/v1/endpoints/${each}`, { method: 'DELETE' })
})

test('a server killed after an end is stored and before it is told tells it once, when it runs again', async () => {
  const events = ['task.started', 'task.completed']
  const path = '/killed'
  receiver.answer = () => ({ status: 503 })
  const server = await world.start(settings)
  const url = `http://127.0.0.1:${receiver.port}${path}`
  await server.post('/v1/endpoints', { url, events })
  const repository = await world.repository('killed', brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Make sum add.' })
  assert.equal((await server.ended(id)).reason, 'done')
  await server.kill()
  const before = called(path)
  assert.ok(before.every(({ body }) => JSON.parse(body).type === 'task.started'))
  receiver.answer = () => ({ status: 200 })
  // The longer the task took, the more tries were refused, and the longer is the wait for the next.
  const due = 'update deliveries set next_try_at = now() where next_try_at is not null'
  await ask(storeIn(world.dataDir), due)
  await using next = await world.start(settings)
  const after = () => called(path).slice(before.length)
  await until('both', () => after().length >= 2, 90_000)
  const told = after().map(({ body }) => JSON.parse(body).type)
  assert.deepEqual(told, events)
  assert.equal(after()[0]?.headers['webhook-id'], before[0]?.headers['webhook-id'])
  assert.equal((await next.task(id)).reason, 'done')
})
