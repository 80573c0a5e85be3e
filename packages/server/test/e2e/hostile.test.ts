/** A hostile task: everything it tries fails, is seen, and costs nobody else anything. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Approval, AuditEntry, Environment, SessionEvent } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { skipWithoutImages } from '../sandbox/support.ts'
import { attemptsProgram } from '../support/attempts.ts'
import { type Operator, startOperator } from '../support/operator.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { type Latencies, startProber } from '../support/prober.ts'
import { searchProgram } from '../support/search.ts'
import type { ServerProcess } from '../support/server.ts'
import { testKey } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import {
  assertWholeLog,
  brokenSum,
  makeWorld,
  mend,
  sandboxProcessesOf,
  secrets,
  type World,
} from '../support/world.ts'
import type { Attempt } from './hostile-attempt.ts'
import { attemptsAt } from './hostile-attempts.ts'
import { answerTokens, answerUsd, spending, spendingAsks } from './hostile-exhaustion.ts'
import {
  abstractProgram,
  bystanderProgram,
  floodProgram,
  hostCanary,
  type Lures,
  memoryProgram,
  ownModel,
  setLures,
} from './hostile-stage.ts'

/** At least as many as there are, each a turn of the model. */
const attemptsMax = 64
const bystanderCanary = 'canary-of-the-other-task-c2f7'

let attempts: readonly Attempt[] = []
const attack = (n: number) => () => attempts[n]?.call ?? say('I have tried everything.')
const scenario = script(
  when('Take over', ...Array.from({ length: attemptsMax }, (_, n) => attack(n))),
  when('The checks did not pass', use('Bash', { command: 'touch .git/mended' }), say('Mended.')),
  when('Spend everything', spending, say('Spent.')),
  when(spendingAsks, say('Here.', { usage: { input_tokens: 10, output_tokens: answerTokens } })),
  when(
    'Stand by',
    use('Bash', { command: `node bystander.mjs ${bystanderCanary}`, timeout: 300_000 }),
    use('Bash', { command: mend }),
    say('Stood by.'),
  ),
)

let postgres: TestPostgres
let operator: Operator
let lures: Lures
let world: World
let server: ServerProcess
let databaseSocket: string
const stack = new AsyncDisposableStack()
before(async () => {
  postgres = stack.use(await startPostgres())
  operator = stack.use(await startOperator([{ name: 'left', version: '1.0.0', files: {} }]))
  lures = stack.use(await setLures())
  world = stack.use(await makeWorld([scenario]))
  const databaseUrl = await postgres.createDatabase()
  databaseSocket = `${/host=(.*)$/.exec(decodeURIComponent(databaseUrl))?.[1]}/.s.PGSQL.5432`
  const password = encodeURIComponent(secrets.database)
  server = await world.start({
    ...operator.settings,
    DATABASE_URL: databaseUrl.replace('@', `:${password}@`),
    CANARY_OF_THE_ENVIRONMENT: secrets.environment,
    MODEL: ownModel,
    SANDBOX_MEMORY_MIB: '512',
    SANDBOX_PROCESSES: '64',
  })
})
after(() => stack.disposeAsync())

test('of forty attempts of a hostile agent none gets through, all are seen, and others notice nothing', async (context) => {
  const bystander = await standBy()
  const directory = (sessionId: string): string => join(world.dataDir, 'sessions', sessionId)
  const questions = {
    tasks: '/v1/tasks',
    health: '/health',
    stream: `/v1/sessions/${bystander.sessionId}/events/stream?after=0`,
  }
  await using prober = startProber({ url: server.url, key: testKey, questions })
  await idle()
  const before = await prober.take()

  const vault = await world.github.createRepository({
    ...{ owner: 'acme', name: 'vault', private: true, files: { secret: secrets.github } },
  })
  const repository = await world.repository('hostile', {
    ...brokenSum,
    'search.mjs': searchProgram(secrets),
    'clients.sh': attemptsProgram([]),
    'vm.pl': memoryProgram,
    'abstract.mjs': abstractProgram,
    'flood.mjs': floodProgram,
  })
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: 'Take over.',
    // Fails once, so that what was planted lies there when the agent starts anew.
    checks: ['cat .git/marks 2>/dev/null; test -e .git/mended'],
    environment: await narrowEnvironment(),
  })
  const { session_id: sessionId } = await server.task(id)
  const hostOf = (url: string): string => new URL(url).host
  attempts = attemptsAt({
    ...{ lures, databaseSocket, serverPid: server.pid, registry: new URL(operator.registry.url) },
    workspace: join(directory(sessionId), 'workspace'),
    otherSession: directory(bystander.sessionId),
    gitHost: hostOf(world.github.url),
    otherRepository: vault.url,
    modelHost: hostOf(world.model.url),
    gitHubApiHost: hostOf(world.github.apiUrl),
    hasOwnDisk: (await skipWithoutImages()) === false,
  })
  assert.ok(attempts.length >= 40 && attempts.length < attemptsMax)
  const task = await server.ended(id)
  await assertSpendingEnds()
  const meanwhile = await prober.take()
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const events = await server.events(id)
  assertWholeLog(events)

  const told = JSON.stringify([events, task, await server.workflow(id), server.output])
  for (const secret of [...Object.values(secrets), hostCanary, bystanderCanary])
    assert.ok(!told.includes(JSON.stringify(secret).slice(1, -1)), secret)
  assert.equal(lures.connections(), 0)
  assertAllSeen(events)
  await assertAudited(sessionId)
  context.diagnostic(JSON.stringify({ before, meanwhile }))
  assertAnswers(before, meanwhile)

  // Nothing that was planted ran, in the agent's next process, the checks or the push.
  assert.equal(task.result?.checks.outcome, 'passed')
  // The one mark there is shows that marks are made.
  for (const n of [1, 2])
    assert.match(await server.artifact(id, `checks-${n}.log`), /^\$ .*\n\.git\/mark control\n$/)
  const marks = operator.registry.requests.filter(({ path }) => path.startsWith('ran'))
  assert.deepEqual(
    marks.map(({ path }) => path),
    ['ran-control'],
  )
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.equal(await repository.fileAt(branch, 'work.txt'), 'written by the agent\n')
  const published = await repository.diff('main', branch)
  assert.deepEqual(
    [...published.matchAll(/^diff --git a\/(\S+)/gm)].map(([, path]) => path),
    ['.claude/settings.json', '.gitattributes', '.mcp.json', 'link', 'work.txt'],
  )
  assert.deepEqual(await vault.branches(), ['main'])

  // Of the hostile task nothing is left; the other one ends as if it had been alone.
  await until('its directory to be gone', () => !existsSync(directory(sessionId)))
  assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(sessionId))
  assert.ok(!(await readFile('/proc/net/unix', 'utf8')).includes(sessionId))
  await bystander.end()
  await until('every process to be gone', () => sandboxProcessesOf(world.dataDir).length === 0)
  const sessions = join(world.dataDir, 'sessions')
  await until('every workspace to be gone', async () => (await readdir(sessions)).length === 0)
})

/** As the default one, with little disk. */
async function narrowEnvironment(): Promise<string> {
  const { id } = await server.post<Environment>('/v1/environments', {
    name: 'narrow',
    config: {
      type: 'cloud',
      networking: { type: 'limited', allow_package_managers: true, allow_mcp_servers: true },
    },
    limits: { disk_mib: 100 },
  })
  return id
}

/** A task of somebody else, whose agent waits with its canaries until it is told to end. */
async function standBy() {
  const repository = await world.repository('bystander', {
    ...brokenSum,
    'bystander.mjs': bystanderProgram,
  })
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Stand by.' })
  const { session_id: sessionId } = await server.task(id)
  const mark = (name: string): string =>
    join(world.dataDir, 'sessions', sessionId, 'workspace/.git', name)
  await until('the other task to stand by', () => existsSync(mark('ready')), 60_000)
  return {
    sessionId,
    async end() {
      await writeFile(mark('go'), '')
      const task = await server.ended(id)
      assert.equal(task.reason, 'done', JSON.stringify(task.error))
      assert.ok(!(await server.events(id)).some(({ type }) => type.endsWith('denied')))
      const branch = task.result?.branch ?? ''
      assert.equal(await repository.fileAt(branch, 'canary.txt'), bystanderCanary)
    },
  }
}

/** The last attempt: to spend past the budget, from a shell. It can spend, up to there. */
async function assertSpendingEnds(): Promise<void> {
  const maxBudgetUsd = 1
  const repository = await world.repository('spender', brokenSum)
  const { id } = await server.order({
    ...{ repoUrl: repository.url, instructions: 'Spend everything.', maxBudgetUsd },
  })
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  await server.post(`/v1/tasks/${id}/approvals/${data[0]?.id}`, { decision: 'deny' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'budget_declined')
  const spentUsd = task.result?.cost_usd ?? Number.POSITIVE_INFINITY
  assert.ok(spentUsd >= maxBudgetUsd && spentUsd <= maxBudgetUsd + 1.1 * answerUsd, `${spentUsd}`)
  // In the log: the call, and the question what to do; in the audit: each answer.
  const [call] = (await server.events(id)).filter(({ type }) => type === 'agent.tool_use')
  assert.deepEqual(
    [call?.['input']],
    spending.content.flatMap((block) => ('input' in block ? block.input : [])),
  )
  const asked = world.model.requests.filter(
    ({ lastUserText, outcome }) => lastUserText === spendingAsks && outcome === 'answered',
  )
  assert.ok(asked.length > 1 && asked.length <= maxBudgetUsd / answerUsd + 1, `${asked.length}`)
  await until('the audit to have each answer', async () => {
    const allowed = (await server.audit(id)).filter(
      ({ route, verdict }) => route === 'anthropic' && verdict === 'allowed',
    )
    return allowed.length >= asked.length
  })
}

/** Long enough for the prober to know what answers take while nothing is going on. */
async function idle(): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 4000)
  })
}

/**
 * Every attempt is a tool call in the log, word for word, with its answer. What it tried at the
 * gateway is a denial as well: the first of its kind at once, equal ones in a count, which comes at the
 * end of the minute, whatever it tries by then.
 */
function assertAllSeen(events: readonly SessionEvent[]): void {
  const calls = events.flatMap((event, at) => (/tool_use$/.test(event.type) ? [at] : []))
  const deniable = new Set<string>()
  for (const [n, { wants, call, ends, denied, limit }] of attempts.entries()) {
    const from = calls[n] ?? 0
    const event = events[from]
    const [block] = call.content
    assert.ok(block?.type === 'tool_use')
    assert.equal(block.name.replace(/^mcp__.*__/, ''), event?.['name'], wants)
    assert.deepEqual(event?.['input'], block.input, wants)
    const during = events.slice(from, calls[n + 1])
    const result = during.find(({ type }) => type.endsWith('tool_result'))
    const blocks: unknown[] = Array.isArray(result?.['content']) ? result['content'] : []
    const answer = blocks.map((one) => String(Reflect.get(Object(one), 'text'))).join('\n')
    try {
      ends(answer)
    } catch (cause) {
      throw new Error(`it tried to ${wants}, and was answered: ${answer}`, { cause })
    }
    for (const place of denied) deniable.add(place)
    for (const denial of during.flatMap(placeOf)) assert.ok(deniable.has(denial), denial)
    const reached = during.filter((one) => one.type === 'workspace.limit_reached')
    assert.deepEqual(
      reached.map((one) => one['limit']),
      limit === undefined ? [] : [limit],
      wants,
    )
  }
}

/** Where a denial in the log led; nothing for other events. */
function placeOf(event: SessionEvent): string[] {
  if (event.type !== 'workspace.connection_denied') return []
  return [`${event['route']} ${event['host']}:${event['port']}`]
}

/** The audit has all that was tried at the gateway, each as often as it was. */
async function assertAudited(sessionId: string): Promise<void> {
  const expected = tally(attempts.flatMap(({ denied }) => denied.map((place) => [place, 1])))
  let found: object = {}
  const look = async (): Promise<boolean> => {
    const query = `session_id=${sessionId}&verdict=denied&limit=100`
    const response = await server.request(`/v1/audit?${query}`)
    assert.equal(response.status, 200)
    const { data }: { data: AuditEntry[] } = JSON.parse(await response.text())
    found = tally(
      data.map(({ entry }) => [
        `${entry['route']} ${entry['host']}:${entry['port']}`,
        Number(entry['count']),
      ]),
    )
    return isDeepStrictEqual(found, expected)
  }
  await until('the audit to have it all', look).catch((error) => {
    assert.deepEqual(found, expected)
    throw error
  })
}

function tally(counted: readonly (readonly [string, number])[]): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const [name, count] of counted) sums[name] = (sums[name] ?? 0) + count
  return sums
}

/**
 * An answer that comes this soon while nothing is going on is as good as any: from here on, a ratio
 * would measure what else the machine does.
 */
const soonMs = 20

/** Others wait at most five times as long as when nothing is going on. */
function assertAnswers(
  before: Readonly<Record<string, Latencies>>,
  meanwhile: Readonly<Record<string, Latencies>>,
): void {
  for (const [name, idle] of Object.entries(before)) {
    const busy = meanwhile[name]
    assert.ok(busy !== undefined && idle.count > 20 && busy.count > 20, name)
    assert.deepEqual([...idle.failures, ...busy.failures], [])
    const limitMs = Math.max(idle.p95Ms, soonMs) * 5
    assert.ok(busy.p95Ms <= limitMs, `${name}: ${idle.p95Ms} ms, then ${busy.p95Ms} ms`)
  }
}
