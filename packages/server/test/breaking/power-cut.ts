import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SessionEvent, Task } from '@longhaul/client/contract'
import {
  type FakeGitHub,
  type ScriptedModel,
  startFakeGitHub,
  startScriptedModel,
} from '@longhaul/testing'
import { processesIn } from '../support/leaks.ts'
import { makeDirectory } from '../support/postgres.ts'
import { ServerProcess } from '../support/server.ts'
import { brokenSum, secrets } from '../support/world.ts'
import { BlockImage } from './block-image.ts'
import { Random } from './random.ts'
import { scenario } from './tasks.ts'

const endMsMax = 6 * 60_000
const lookMs = 100

/** What was lost of what the server had acknowledged, a sentence each. */
export interface CutLosses {
  readonly orders: string[]
  readonly events: string[]
  readonly tasks: string[]
  readonly turns: string[]
}

/**
 * One node with the embedded store, on a disk of its own: tasks are ordered and watched, and the power
 * is cut in the middle, `cuts` times. What a caller was told before a cut has to be there after it.
 */
export async function cutPower(o: {
  readonly seed: number
  readonly cuts: number
  /** Tasks that are ordered before each cut. */
  readonly tasks: number
  readonly say: (line: string) => void
}): Promise<CutLosses> {
  const random = new Random(o.seed)
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(await makeDirectory())
  const image = stack.use(new BlockImage(directory.path))
  const dataDir = join(image.path, 'data')
  mkdirSync(dataDir, { mode: 0o711 })
  const model = stack.use(
    await startScriptedModel({ scenarios: [scenario], apiKey: secrets.model }),
  )
  const github = stack.use(await startFakeGitHub({ token: secrets.github }))
  const told: Told = { orders: [], events: new Map() }
  const losses: CutLosses = { orders: [], events: [], tasks: [], turns: [] }
  const start = () => startOn({ dataDir, model, github })
  let server = await start()
  stack.defer(async () => {
    await server.stop()
  })
  for (let cut = 1; cut <= o.cuts; cut += 1) {
    using watching = watch(server, told)
    for (let n = 0; n < o.tasks; n += 1) {
      await orderOne(server, { github, told })
      await sleep(random.between(0, 600))
    }
    await sleep(random.between(500, 6000))
    const pids = [server.pid, ...processesIn(`${dataDir}/`)]
    for (const pid of pids) signal(pid, 'SIGSTOP')
    watching[Symbol.dispose]()
    const events = [...told.events.values()].reduce((sum, all) => sum + all.size, 0)
    o.say(`cut ${cut}: ${told.orders.length} orders and ${events} events were acknowledged`)
    await image.cutPower(async () => {
      for (const pid of pids) signal(pid, 'SIGKILL')
      await server.kill()
      while (processesIn(`${dataDir}/`).length > 0) await sleep(lookMs)
    })
    server = await start()
    await compare(server, { told, losses, cut })
  }
  await allEnd(server, { told, losses })
  for (const { acknowledged, turn, conversation } of model.duplicates)
    if (acknowledged) losses.turns.push(`turn ${turn} of ${conversation} was asked twice`)
  return losses
}

/** What callers were told: orders by their ids, and events by session and number. */
interface Told {
  readonly orders: { readonly id: string; readonly sessionId: string }[]
  readonly events: Map<string, Map<number, string>>
}

function startOn(o: {
  readonly dataDir: string
  readonly model: ScriptedModel
  readonly github: FakeGitHub
}): Promise<ServerProcess> {
  return ServerProcess.start({
    DATA_DIR: o.dataDir,
    ANTHROPIC_BASE_URL: o.model.url,
    ANTHROPIC_API_KEY: secrets.model,
    GITHUB_URL: o.github.url,
    GITHUB_API_URL: o.github.apiUrl,
    GITHUB_TOKEN: secrets.github,
    LOG_LEVEL: 'warn',
  })
}

async function orderOne(
  server: ServerProcess,
  { github, told }: { readonly github: FakeGitHub; readonly told: Told },
): Promise<void> {
  const name = `cut-${told.orders.length}`
  const repository = await github.createRepository({ owner: 'acme', name, files: brokenSum })
  const slowly = told.orders.length % 2 === 1
  const instructions = slowly ? 'Take your time to mend the sum.' : 'Mend the sum.'
  const { id } = await server.order({ repoUrl: repository.url, instructions })
  const { session_id: sessionId } = await server.task(id)
  told.orders.push({ id, sessionId })
}

/** Notes every event that a reader is given, until it is disposed of. */
function watch(server: ServerProcess, told: Told): Disposable {
  const over = new AbortController()
  const look = async (): Promise<void> => {
    for (const { id, sessionId } of told.orders) {
      const { data } = await server.get<{ data: SessionEvent[] }>(
        `/v1/sessions/${sessionId}/events?limit=1000`,
      )
      const known = told.events.get(id) ?? new Map<number, string>()
      if (!over.signal.aborted) for (const { seq, type } of data) known.set(seq, type)
      told.events.set(id, known)
    }
  }
  const looking = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await look()
      await sleep(lookMs)
    }
  }
  // It breaks off with the server that it watches.
  looking().catch(() => undefined)
  return { [Symbol.dispose]: () => over.abort() }
}

async function compare(
  server: ServerProcess,
  o: { readonly told: Told; readonly losses: CutLosses; readonly cut: number },
): Promise<void> {
  const { told, losses, cut } = o
  for (const { id } of told.orders) {
    if ((await server.request(`/v1/tasks/${id}`)).status !== 200) {
      losses.orders.push(`cut ${cut}: the order ${id} is gone`)
      continue
    }
    const now = new Map((await server.events(id)).map(({ seq, type }) => [seq, type]))
    for (const [seq, type] of told.events.get(id) ?? [])
      if (now.get(seq) !== type)
        losses.events.push(`cut ${cut}: event ${seq} of ${id} was ${type}, is ${now.get(seq)}`)
  }
}

async function allEnd(
  server: ServerProcess,
  { told, losses }: { readonly told: Told; readonly losses: CutLosses },
): Promise<void> {
  const deadline = Date.now() + endMsMax
  for (const { id } of told.orders) {
    let task: Task = await server.task(id)
    for (; task.completed_at === null && Date.now() < deadline; task = await server.task(id))
      await sleep(lookMs)
    if (task.reason !== 'done')
      losses.tasks.push(`${id} is ${task.status}, ${task.reason}: ${task.message}`)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It ended by itself.
  }
}
