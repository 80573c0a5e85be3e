/** What an endpoint is told of a real task, and what a crash between an end and its delivery costs. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { Webhook } from 'standardwebhooks'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'
import { brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const scenario = script(
  when(
    'Make sum add',
    use('mcp__longhaul__report_progress', { message: 'Looking.', percent: 10 }),
    use('Bash', { command: mend }),
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

test('an endpoint hears of a task as it goes, each time with the number of the event in the log', async () => {
  await using server = await world.start(settings)
  const endpoint = await server.post<{ id: string; secret: string }>('/v1/endpoints', {
    url: `http://127.0.0.1:${receiver.port}/task`,
  })
  const repository = await world.repository('told', brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Make sum add.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  await until('three calls', () => called('/task').length === 3, 30_000)
  const verify = new Webhook(endpoint.secret)
  const told = called('/task').map(({ body, headers }) => {
    verify.verify(body, headers)
    return JSON.parse(body)
  })
  assert.deepEqual(
    told.map(({ type }) => type),
    ['task.started', 'task.progress', 'task.completed'],
  )
  assert.deepEqual(told[1].data.progress, { message: 'Looking.', percent: 10 })
  assert.deepEqual(told[2].data.result, task.result)
  const events = await server.events(id)
  const types = told.map(({ data }) => events.find(({ seq }) => seq === data.seq)?.type)
  assert.deepEqual(types, ['task.updated', 'task.progress', 'task.completed'])
  const answer = await server.request(`/v1/endpoints/${endpoint.id}`, { method: 'DELETE' })
  assert.equal(answer.status, 200)
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
  await using next = await world.start(settings)
  const after = () => called(path).slice(before.length)
  await until('both', () => after().length >= 2, 90_000)
  const told = after().map(({ body }) => JSON.parse(body).type)
  assert.deepEqual(told, events)
  assert.equal(after()[0]?.headers['webhook-id'], before[0]?.headers['webhook-id'])
  assert.equal((await next.task(id)).reason, 'done')
})
