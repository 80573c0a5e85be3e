/** What people say to a task's agent: read once, when they asked for it, whatever dies meanwhile. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { SessionEvent } from '@longhaul/client/contract'
import { type Scenario, say, script, use, when } from '@longhaul/testing'
import { uuidOf } from '../../src/ids.ts'
import { block, stored } from '../support/phases.ts'
import { ask, storeIn } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, mend, type World } from '../support/world.ts'

const note = (name: string) => use('Bash', { command: `echo ${name} > ${name}.txt` })
/** Goes on when the test says so; the mark is in a place that no commit carries. */
const wait = 'touch .git/waits; until test -e .git/go; do sleep 0.1; done'
const scenario = script(
  when('Say steered', note('steered'), say('Steered.')),
  when('Say cut', note('cut'), say('Cut.')),
  when('Say queued', note('queued'), say('Queued.')),
  when('Say checked', note('checked'), say('Checked.')),
  when('Say last', note('last'), say('Last.')),
  when('Block now', use('Bash', { command: block('now') }), say('Blocked.')),
  when('Mend and wait', use('Bash', { command: `${mend}; ${wait}` }), say('Mended.')),
  when('Mend and block', use('Bash', { command: `${mend}; ${block('tool')}` }), say('Mended.')),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

/** What each conversation was told, as its last request has it. */
const told = new Map<string, readonly string[]>()
const listening: Scenario = (conversation) => {
  told.set(conversation.key, conversation.userTexts)
  return scenario(conversation)
}

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([listening])
  server = await world.start()
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

async function order(instructions: string, more: object = {}) {
  const ordered = await world.order(server, { instructions, ...more })
  /** Lets the agent's command go on, from where the agent cannot see it. */
  return { ...ordered, go: () => writeFileSync(ordered.mark('go'), '') }
}

/** Resolves once the agent's process has what it was told, though the agent may not have read it yet. */
function heard({ sessionId }: { sessionId: string }, text: string): Promise<void> {
  return stored(world, sessionId, `%"queue-operation"%"enqueue"%${text}%`)
}

/** The task at its end: each message was accepted, said and read once, and read in this order. */
async function ended(id: string, read: readonly string[]) {
  const task = await server.ended(id)
  const events = await server.rows(id)
  assertWholeLog(events)
  assert.deepEqual(textsOf(events, (event) => event.processed_at !== null).slice(1), read)
  const accepted = textsOf(events, (event) => event.processed_at === null)
  assert.deepEqual(accepted.toSorted(), read.toSorted())
  for (const text of read) assert.equal(timesTold(task, text), 1, text)
  assert.deepEqual(world.model.violations, [])
  assert.deepEqual(world.model.duplicates, [])
  return { task, events }
}

function textsOf(events: readonly SessionEvent[], fits: (event: SessionEvent) => boolean) {
  return events
    .filter((event) => event.type === 'user.message' && fits(event))
    .map((event) => (event['content'] as { text: string }[])[0]?.text)
}

function timesTold({ session_id }: { session_id: string }, text: string): number {
  const texts = told.get(uuidOf(session_id)) ?? []
  return texts.join('\n').split(text).length - 1
}

test('a message that steers reaches the model within the running turn', async () => {
  const ordered = await order('Mend and wait')
  const { id, repository, marked, go } = ordered
  await marked('waits')
  const sent = await server.say(id, { text: 'Say steered' })
  await heard(ordered, 'Say steered')
  assert.deepEqual([sent.mode, sent.processed_at, sent.reopened], ['steer', null, false])
  go()
  const { task, events } = await ended(id, ['Say steered'])
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(task.result?.summary, 'Steered.')
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'steered.txt'), 'steered\n')
  // One turn from the order to the checks: the message did not wait for its end.
  assert.equal(events.filter(({ type }) => type === 'session.status_running').length, 1)
  const rows = events.filter(({ id: event }) => event === sent.id)
  assert.deepEqual(
    rows.map(({ seq, processed_at }) => [seq === sent.seq, processed_at === null]),
    [
      [true, true],
      [false, false],
    ],
  )
})

test('a message that comes before the agent starts is read with the order', async () => {
  const { id, repository, marked, go } = await order('Mend', { setup: [wait], checks: [] })
  await marked('waits')
  await server.say(id, { text: 'Say steered', mode: 'interrupt' })
  go()
  const { task, events } = await ended(id, ['Say steered'])
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'steered.txt'), 'steered\n')
  // Nothing was cut off for it.
  assert.equal(events.filter(({ type }) => type === 'session.status_running').length, 1)
})

test('a message that interrupts ends a command that would never end, and the agent goes on with it', async () => {
  const { id, repository, marked } = await order('Mend and block')
  await marked('tool')
  await server.say(id, { text: 'Say cut', mode: 'interrupt' })
  const { task, events } = await ended(id, ['Say cut'])
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'cut.txt'), 'cut\n')
  const interrupts = events.filter(({ type }) => type === 'user.interrupt')
  assert.deepEqual(
    interrupts.map(({ processed_at }) => processed_at === null),
    [true, false],
  )
  assert.equal(new Set(interrupts.map((event) => event.id)).size, 1)
})

test('messages that queue are read after the turn, in their order; one that steers goes before them', async () => {
  const ordered = await order('Mend and wait')
  const { id, marked, go } = ordered
  await marked('waits')
  await server.say(id, { text: 'Say queued', mode: 'queue' })
  await server.say(id, { text: 'Say last', mode: 'queue' })
  await server.say(id, { text: 'Say steered', mode: 'steer' })
  await heard(ordered, 'Say steered')
  go()
  const { task, events } = await ended(id, ['Say steered', 'Say queued', 'Say last'])
  assert.equal(task.result?.summary, 'Steered.\n\nQueued.\n\nLast.')
  const checked = events.findIndex(({ type }) => type === 'task.checks_finished')
  const read = events.findLastIndex(({ type }) => type === 'user.message')
  assert.ok(read < checked)
})

test('a message that comes while the checks run is worked on, checked and published with the rest', async () => {
  const check = `test -e checked.txt || { ${wait}; }; npm test`
  const { id, repository, marked, go } = await order('Mend', { checks: [check] })
  await marked('waits')
  await server.say(id, { text: 'Say checked', mode: 'queue' })
  go()
  const { task } = await ended(id, ['Say checked'])
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.equal(task.result?.checks.rounds, 2)
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'checked.txt'), 'checked\n')
  assert.equal(repository.pullRequests.length, 1)
})

test('a message that comes while the pull request is opened reopens nothing: the task was not over', async () => {
  const { id, repository } = await order('Mend')
  const opening = Promise.withResolvers<void>()
  const go = Promise.withResolvers<undefined>()
  world.github.beforeRequest(({ action }) => {
    if (action !== 'create_pull') return undefined
    opening.resolve()
    return go.promise
  })
  await opening.promise
  world.github.beforeRequest(null)
  const sent = await server.say(id, { text: 'Say last' })
  assert.equal(sent.reopened, false)
  go.resolve(undefined)
  const { task } = await ended(id, ['Say last'])
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'last.txt'), 'last\n')
  assert.equal(repository.pullRequests.length, 1)
})

test('a server killed while messages wait says each of them once when it is back', async () => {
  const { id, repository, sessionId, marked } = await order('Mend and block')
  await marked('tool')
  // Else the call counts as never made, and is asked for anew.
  await stored(world, sessionId, '%"tool_use"%.git/tool%')
  await server.say(id, { text: 'Say steered' })
  await server.say(id, { text: 'Say queued', mode: 'queue' })
  await server.kill()
  server = await world.start()
  const { task } = await ended(id, ['Say steered', 'Say queued'])
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, 'steered.txt'), 'steered\n')
  assert.equal(await repository.fileAt(branch, 'queued.txt'), 'queued\n')
})

test('a message that the conversation has is not said again, though nobody lived to write that down', async () => {
  const ordered = await order('Mend and wait')
  const { id, marked, go } = ordered
  await marked('waits')
  const { id: message } = await server.say(id, { text: 'Block now' })
  await heard(ordered, 'Block now')
  go()
  await marked('now')
  await server.event(id, (event) => event.id === message && event.processed_at !== null)
  // As if the server had died a moment earlier.
  await unmark(message)
  await server.kill()
  server = await world.start()
  const task = await server.ended(id)
  assert.equal(task.result?.summary, 'Blocked.')
  assert.equal(timesTold(task, 'Block now'), 1)
})

function unmark(message: string): Promise<object> {
  const statement = 'update messages set processed_at = null where id = $1'
  return ask(storeIn(world.dataDir), statement, [message])
}
