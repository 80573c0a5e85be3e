/** A disk or a memory that runs full outside the sessions: nothing new is begun, and nothing fails. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Approval, Task } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { pino } from 'pino'
import { Metrics } from '../../src/metrics.ts'
import { DiskFloor } from '../../src/runner/disk-floor.ts'
import { JumpClock } from '../support/jump-clock.ts'
import type { Ordered } from '../support/ordered.ts'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { makeWorld, mend, type World } from '../support/world.ts'

const minuteMs = 60_000
const mib = 1024 ** 2
const floorBytes = 1024 * mib
/** Runs until it is told to end. */
const hold = 'touch .git/held; until test -e .git/go; do sleep 0.1; done; '
const scenario = script(
  when('Mend slowly', use('Bash', { command: hold + mend, timeout: 300_000 }), say('Mended.')),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

interface Health {
  readonly status: string
  readonly alerts: readonly { name: string; message: string; fix: string }[]
  readonly disk: Space
  readonly memory: Space
}

interface Space {
  readonly ok: boolean
  readonly problem: string | null
  readonly free_bytes: number
  readonly floor_bytes: number
}

/** Null: it does not answer. */
let freeBytes: number | null = 10 * floorBytes
const memoryFloorBytes = 256 * mib
let freeMemory = memoryFloorBytes
let looks = 0
const lines: { level: number; msg: string; alert?: string }[] = []
const clock = new JumpClock()
let world: World
let server: ServerApi
before(async () => {
  world = await makeWorld([scenario])
  server = await world.startInProcess(clock, {
    statfs: (path) => {
      assert.equal(path, world.dataDir)
      looks += 1
      if (freeBytes === null) return Promise.reject(new Error('EIO'))
      return Promise.resolve({ bavail: freeBytes / 4096, bsize: 4096 })
    },
    freeMemory: () => freeMemory,
    log: pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) }),
  })
})
after(() => world[Symbol.asyncDispose]())

function order(instructions: string, more: object = {}): Promise<Ordered> {
  return world.order(server, { instructions, ...more })
}

const mirrors = () =>
  readdirSync(join(world.dataDir, 'repositories')).filter((name) => !name.endsWith('.json'))

/** The worker has looked at the queue several times since it was called. */
async function severalClaims(): Promise<void> {
  const before = looks
  await until('several claims', () => looks >= before + 3)
}

async function gauge(name: string): Promise<number> {
  const text = await (await server.request('/metrics')).text()
  return Number(new RegExp(`^longhaul_${name} (.*)$`, 'm').exec(text)?.[1])
}

const alerts = async () => (await server.get<Health>('/health')).alerts

const saidOf = (name: string) =>
  lines.filter(({ alert }) => alert === name).map(({ level, msg }) => [level, msg])

test('below its floor tasks wait and none fails, what runs goes on, and with room they are begun', async () => {
  const slow = await order('Mend slowly.')
  await slow.marked('held')
  const well = await server.get<Health>('/health')
  assert.deepEqual(well.disk, {
    ...{ ok: true, problem: null, free_bytes: 10 * floorBytes, floor_bytes: floorBytes },
  })

  const { url: repo_url } = slow.repository
  const answerTo = (more: object) =>
    server.post<Task>('/v1/tasks', { type: 'refactor', repo_url, instructions: 'Mend.', ...more })
  const startAt = new Date(clock.now() + 2 * minuteMs)
  const early = await answerTo({ start_at: startAt.toISOString() })
  assert.equal(early.message, 'The task waits for its start time.')
  freeBytes = floorBytes - 4096
  const waiting = await answerTo({})
  clock.jump(startAt.getTime() - clock.now())
  const noRoom = 'The task waits for room on the disk: less than DISK_FLOOR_MIB is left.'
  for (const { id } of [waiting, early])
    await until('it to say so', async () => (await server.task(id)).message === noRoom)
  assert.equal((await answerTo({ labels: ['third'] })).message, noRoom)
  await until('mirrors to go at once', () => mirrors().length === 0)
  const ill = await server.get<Health>('/health')
  assert.equal(ill.status, 'degraded')
  assert.equal(ill.disk.ok, false)
  const problem = ill.disk.problem ?? ''
  assert.match(
    problem,
    /^The disk of DATA_DIR has 1023 MiB left, less than DISK_FLOOR_MIB \(1024\): no task is begun, and those that are ordered wait until there is more;/,
  )
  assert.equal((await server.request('/readyz')).status, 200)
  assert.equal(await gauge('disk_free_bytes'), freeBytes)
  assert.equal(await gauge('disk_floor_bytes'), floorBytes)
  await writeFile(slow.mark('go'), '')
  assert.equal((await server.ended(slow.id)).reason, 'done')
  await severalClaims()
  const { status, reason } = await server.task(waiting.id)
  assert.deepEqual([status, reason], ['pending', 'queued'])
  await until('the alert', async () => (await alerts()).length > 0, minuteMs)
  const [alert] = await alerts()
  assert.deepEqual([alert?.name, alert?.message], ['disk_floor', problem])
  assert.match(alert?.fix ?? '', /DISK_FLOOR_MIB/)
  assert.deepEqual(saidOf('disk_floor'), [[40, problem]])

  freeBytes = 10 * floorBytes
  assert.equal((await server.ended(waiting.id)).reason, 'done')
  assert.equal((await server.ended(early.id)).reason, 'done')
  assert.deepEqual((await server.get<Health>('/health')).disk.problem, null)
  await until('the alert to be over', async () => (await alerts()).length === 0, minuteMs)
  assert.deepEqual(saidOf('disk_floor').slice(1), [[30, 'the alert is over']])
})

test('below its floor a task that was begun and is cancelled ends all the same', async () => {
  const bash = { name: 'bash', permission_policy: { type: 'always_ask' } }
  const { id: agent } = await server.post<{ id: string }>('/v1/agents', {
    ...{ name: 'asking', model: 'claude-sonnet-5-5' },
    tools: [{ type: 'agent_toolset_20260401', configs: [bash] }],
  })
  const { id } = await order('Mend.', { agent })
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  await until('it to park', async () => (await server.task(id)).reason === 'waiting_approval')
  freeBytes = 0
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  assert.equal(data.length, 1)
  await severalClaims()
  await server.cancel(id)
  assert.equal((await server.ended(id)).reason, 'cancelled')
})

test('a disk that does not say what is left takes nothing new, unless there is no floor', async () => {
  freeBytes = null
  const { disk } = await server.get<Health>('/health')
  assert.equal(disk.free_bytes, null)
  assert.match(disk.problem ?? '', /^The disk of DATA_DIR does not say what is left on it: no task/)
  const { id } = await order('Mend.')
  await severalClaims()
  assert.equal((await server.task(id)).status, 'pending')
  assert.equal(await gauge('disk_free_bytes'), Number.NaN)
  const statfs = () => Promise.resolve({ bavail: 0, bsize: 4096 })
  const none = new DiskFloor({
    ...{ directory: world.dataDir, floorBytes: 0, metrics: new Metrics(), statfs },
  })
  assert.deepEqual(await none.look(), { freeBytes: 0, floorBytes: 0, problem: null })
  freeBytes = floorBytes
  assert.equal((await server.ended(id)).reason, 'done')
})

test('with less memory than its floor a task waits, which health and an alert say until there is more', async () => {
  const well = await server.get<Health>('/health')
  const space = { free_bytes: memoryFloorBytes, floor_bytes: memoryFloorBytes }
  assert.deepEqual(well.memory, { ok: true, problem: null, ...space })
  freeMemory -= 1
  const { id } = await order('Mend.')
  const message = 'The task waits for memory: less than MEMORY_FLOOR_MIB is free.'
  await until('it to say so', async () => (await server.task(id)).message === message)
  await severalClaims()
  assert.equal((await server.task(id)).status, 'pending')
  const { status, memory } = await server.get<Health>('/health')
  const problem = memory.problem ?? ''
  assert.deepEqual([status, memory.ok, memory.free_bytes], ['degraded', false, freeMemory])
  assert.match(
    problem,
    /^255 MiB of memory are free, less than MEMORY_FLOOR_MIB \(256\): no task is begun here, and/,
  )
  assert.equal((await server.request('/readyz')).status, 200)
  assert.equal(await gauge('memory_free_bytes'), freeMemory)
  assert.equal(await gauge('memory_floor_bytes'), memoryFloorBytes)
  await until('the alert', async () => (await alerts()).length > 0, minuteMs)
  const [alert] = await alerts()
  assert.deepEqual([alert?.name, alert?.message], ['memory_floor', problem])
  assert.match(alert?.fix ?? '', /MEMORY_FLOOR_MIB/)

  freeMemory = memoryFloorBytes
  assert.equal((await server.ended(id)).reason, 'done')
  await until('the alert to be over', async () => (await alerts()).length === 0, minuteMs)
  const over = [30, 'the alert is over']
  assert.deepEqual(saidOf('memory_floor'), [[40, problem], over])
  assert.equal((await server.get<Health>('/health')).memory.problem, null)
})
