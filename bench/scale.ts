import { loadavg } from 'node:os'
import { join } from 'node:path'
import { say, script, when } from '@longhaul/testing'
import { systemClock } from '../packages/server/src/clock.ts'
import { appendEvents } from '../packages/server/src/events/append.ts'
import { createLog } from '../packages/server/src/log.ts'
import { openStore, type Store } from '../packages/server/src/store/open.ts'
import { makeDataDir, startDatabase } from './database.ts'
import { type Bench, quantile } from './entry.ts'
import { type Filling, fill, idOf, labels, repositories, words } from './fill.ts'
import { openPlace, type Place } from './place.ts'

const whole: Filling = { tasks: 100_000, eventsOfEach: 50, longLog: 20_000 }
/** Times that each kind of page is read, and batches that are appended. */
const reads = 40
const batches = 1000
/** Events that a busy agent's writer gathers in 25 ms, at most. */
const eventsOfBatch = 20
const textChars = 300

/** What a store of months costs: 100,000 tasks, 5 million events. */
export const scale: Bench = {
  onRequest: true,
  entries: [
    {
      name: 'scale-list-p95',
      what: 'a page of a list or a search over 100,000 tasks and 5 million events, of the slowest kind (95th percentile)',
      unit: 'ms',
      aim: { atMost: 20 },
    },
    {
      name: 'scale-append-p95',
      what: 'a batch of 20 events appended to one of those logs (95th percentile)',
      unit: 'ms',
      aim: { atMost: 5 },
    },
    {
      name: 'scale-first-page',
      what: 'the first page after database and server were restarted',
      unit: 'ms',
      aim: { atMost: 1000 },
    },
  ],
  async measure(signal, size) {
    const filling = {
      ...whole,
      tasks: Math.ceil(whole.tasks * size),
      longLog: Math.ceil(Math.max(200, whole.longLog * size)),
    }
    await using dataDir = await makeDataDir()
    const opening = { dataDir: dataDir.path, signal }
    const { list, append: appended } = await filled(opening, filling)
    return {
      'scale-list-p95': list,
      'scale-append-p95': appended,
      'scale-first-page': await firstPage(opening),
    }
  },
}

interface Opening {
  readonly dataDir: string
  readonly signal: AbortSignal
}

const shared = { log: createLog('silent'), clock: systemClock }

async function filled({ dataDir, signal }: Opening, filling: Filling) {
  await using database = await startDatabase(dataDir, signal)
  const settings = { DATABASE_URL: database.url }
  await using place = await openPlace([script(when('Look', say('Seen.')))], settings)
  await using store = await openStore({
    ...{ ...shared, signal, dataDir: join(dataDir, 'writer'), databaseUrl: database.url },
  })
  await fillFrom(place, store, { filling, signal })
  return { list: await readAll(place, filling), append: await append(store, filling) }
}

/** With nothing in the database's own memory; the kernel still has what it has read. */
async function firstPage({ dataDir, signal }: Opening): Promise<number> {
  await using database = await startDatabase(dataDir, signal)
  await using place = await openPlace([], { DATABASE_URL: database.url })
  return await timed(() => place.json('/v1/tasks'))
}

async function fillFrom(
  place: Place,
  store: Store,
  { filling, signal }: { readonly filling: Filling; readonly signal: AbortSignal },
): Promise<void> {
  const files = { 'README.md': 'A repository.\n' }
  const { url } = await place.github.createRepository({ owner: 'acme', name: 'one', files })
  const task = await place.order({ repoUrl: url, instructions: 'Look.' })
  await place.completed(task, signal)
  const ms = await timed(() => fill(store.pool, { ...filling, template: task.id, signal }))
  const events = filling.tasks * filling.eventsOfEach + filling.longLog
  note(`${filling.tasks} tasks and ${events} events in ${(ms / 1000).toFixed(0)} s`)
}

/** The slowest kind's; each kind's own is said beside it. */
async function readAll(place: Place, { tasks, longLog }: Filling): Promise<number> {
  const some = (below: number): number => Math.floor(Math.random() * below)
  const cursor = () => `&page=${Date.now() - some(tasks) * 30_000}-${idOf('task', 1)}`
  const logOf = (n: number) => `/v1/sessions/${idOf('sesn', n)}/events`
  const kinds: Readonly<Record<string, () => string>> = {
    'nothing (livez)': () => '/livez',
    tasks: () => '/v1/tasks?limit=100',
    'tasks, deep': () => `/v1/tasks?limit=100${cursor()}`,
    'tasks by status': () => `/v1/tasks?status=failed${cursor()}`,
    'tasks by type and reason': () => '/v1/tasks?type=refactor&reason=no_changes',
    'tasks by label': () => `/v1/tasks?label=team-${some(labels)}`,
    'tasks by repository': () =>
      `/v1/tasks?repo_url=https://git.example.com/acme/repository-${some(repositories)}`,
    'tasks by a rare word': () => `/v1/tasks?q=word${some(words)}`,
    'tasks by a word of all': () => '/v1/tasks?q=older',
    'tasks by cost': () => '/v1/tasks?cost_usd[gte]=3.50',
    'tasks by time': () =>
      `/v1/tasks?created_at[lt]=${new Date(Date.now() - some(tasks) * 30_000).toISOString()}`,
    workflows: () => '/api/workflows?limit=100',
    sessions: () => '/v1/sessions?limit=100',
    'sessions by status': () => '/v1/sessions?statuses[]=idle&limit=100',
    events: () => `${logOf(1 + some(tasks))}?limit=100`,
    'events, deep in a long log': () => `${logOf(1)}?limit=100&after=${some(longLog)}`,
    'events by type, in a long log': () => `${logOf(1)}?types[]=agent.message&limit=100`,
    'errors, in a long log': () => `${logOf(1)}?errors=true&limit=100`,
  }
  let worst = 0
  for (const [name, path] of Object.entries(kinds)) {
    const times: number[] = []
    await place.json(path())
    for (let n = 0; n < reads; n += 1) times.push(await timed(() => place.json(path())))
    const [p50, p95] = [quantile(times, 0.5), quantile(times, 0.95)]
    note(`${name.padEnd(32)} p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms`)
    worst = Math.max(worst, p95)
  }
  return worst
}

async function append({ db }: Store, { tasks }: Filling): Promise<number> {
  const times: number[] = []
  const content = [{ type: 'text', text: 'x'.repeat(textChars) }]
  const events = Array.from({ length: eventsOfBatch }, () => ({ type: 'agent.message', content }))
  for (let n = 0; n < batches; n += 1) {
    const sessionId = idOf('sesn', 1 + Math.floor(Math.random() * tasks))
    times.push(await timed(() => appendEvents(db, { sessionId, events, clock: systemClock })))
  }
  note(`appended: p50 ${quantile(times, 0.5).toFixed(1)} ms; load ${loadavg()[0]?.toFixed(1)}`)
  return quantile(times, 0.95)
}

async function timed(what: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await what()
  return performance.now() - begun
}

function note(line: string): void {
  console.error(`  ${line}`)
}
