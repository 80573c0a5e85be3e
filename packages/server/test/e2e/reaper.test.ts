/** What is left over goes by itself: places of sessions that went on elsewhere, old tasks, mirrors. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { JumpClock } from '../support/jump-clock.ts'
import { startPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'
import { brokenSum, makeWorld, mend } from '../support/world.ts'

const dayMs = 24 * 3_600_000
const waitMs = 60_000
const dear = { input_tokens: 1_000_000, output_tokens: 10 }
const scenario = script(
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
  when('Spend', use('Bash', { command: 'true' }, { usage: dear }), say('Spent.')),
)

test('the directory of a session that went on elsewhere is removed from the node that it left', async () => {
  await using postgres = await startPostgres()
  await using first = await makeWorld([scenario])
  await using second = await makeWorld([])
  const shared = {
    DATABASE_URL: await postgres.createDatabase(),
    ANTHROPIC_BASE_URL: first.model.url,
    GITHUB_URL: first.github.url,
    GITHUB_API_URL: first.github.apiUrl,
  }
  const repository = await first.repository('sum', brokenSum)
  const left = await first.start(shared)
  const order = { repoUrl: repository.url, instructions: 'Spend.', maxBudgetUsd: 0.5 }
  const { id } = await left.order(order)
  await left.event(id, ({ type }) => type === 'task.approval_requested')
  const { session_id: sessionId } = await left.task(id)
  const directory = join(first.dataDir, 'sessions', sessionId)
  assert.ok(existsSync(directory))
  await left.stop()

  const other = await second.start(shared)
  const { data } = await other.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  await other.post(`/v1/tasks/${id}/approvals/${data[0]?.id}`, { decision: 'raise', limit_usd: 99 })
  assert.equal((await other.ended(id)).status, 'completed')
  await until(
    'its second place to go',
    () => !existsSync(join(second.dataDir, 'sessions', sessionId)),
  )
  assert.ok(existsSync(directory))
  const back = await first.start(shared)
  await until('its first place to go', () => !existsSync(directory), waitMs)
  // The other world, which goes first, knows nothing of this one's processes.
  await back.stop()
})

test('recordings and tasks are kept for as long as the settings say', async () => {
  await using world = await makeWorld([scenario])
  const clock = new JumpClock()
  const settings = { RETENTION_RECORDINGS_DAYS: '1', RETENTION_TASKS_DAYS: '3' }
  const server = await world.startInProcess(clock, { settings })
  const repository = await world.repository('sum', brokenSum)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Mend.' })
  await server.ended(id)
  const artifacts = async () =>
    (await server.get<{ data: object[] }>(`/v1/tasks/${id}/artifacts`)).data.length
  assert.ok((await artifacts()) > 0)
  clock.jump(2 * dayMs)
  await until('its artifacts to go', async () => (await artifacts()) === 0, waitMs)
  assert.equal((await server.task(id)).reason, 'done')
  assert.ok((await server.events(id)).length > 0)
  clock.jump(2 * dayMs)
  const gone = async () => {
    // The look that took the artifacts may be still under way: the next one comes a minute after it.
    clock.jump(61_000)
    return (await server.request(`/v1/tasks/${id}`)).status === 404
  }
  await until('it to be deleted', gone, waitMs)
})

test('mirrors go when the disk has little room, sooner than tasks wait, and after a month without use', async () => {
  await using world = await makeWorld([scenario])
  const clock = new JumpClock()
  let freeMib = 1_000_000
  let looks = 0
  const statfs = async () => {
    looks += 1
    return { bavail: freeMib * 256, bsize: 4096 }
  }
  const server = await world.startInProcess(clock, { statfs, settings: { DISK_FLOOR_MIB: '1024' } })
  const repository = await world.repository('sum', brokenSum)
  const room = join(world.dataDir, 'repositories')
  const order = async () => {
    const { id } = await server.order({ repoUrl: repository.url, instructions: 'Mend.' })
    assert.equal((await server.ended(id)).reason, 'done')
    assert.equal(readdirSync(room).filter((name) => !name.endsWith('.json')).length, 1)
  }
  const gone = () => readdirSync(room).length === 0
  await order()
  freeMib = 2047
  clock.jump(61_000)
  await until('the mirror to go', gone, waitMs)

  await order() // There is still room for it.
  freeMib = 2048
  // What a server leaves that is killed: a mirror that was never whole, and a draft of a note.
  await mkdir(join(room, 'a'.repeat(24)))
  await writeFile(join(room, `${'b'.repeat(24)}.json.${randomUUID()}`), '{}')
  const before = looks
  clock.jump(29 * dayMs)
  await until('several looks', () => looks >= before + 4)
  assert.equal(readdirSync(room).length, 4)
  clock.jump(2 * dayMs)
  await until('all of it to go', gone, waitMs)
})
