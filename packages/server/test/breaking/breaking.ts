import { setTimeout as sleep } from 'node:timers/promises'
import type { Task } from '@longhaul/client/contract'
import { type Break, breaks } from './breaks.ts'
import { Callers } from './callers.ts'
import { hostLeftovers } from './host.ts'
import { attend } from './humans.ts'
import { makeAgent, type Ordered, orderNth } from './orders.ts'
import { Random } from './random.ts'
import { follow, type Reading } from './reader.ts'
import { type Stage, setStage } from './stage.ts'
import { scenario } from './tasks.ts'
import { judge, type Losses } from './verdict.ts'
import { inWeather, type Weather } from './weather.ts'

/** After the last break everything has this long to end. */
const endMsMax = 8 * 60_000
/** Between two words about what is still waited for, in looks, one a second. */
const looksSaid = 20
/** What may still be under way a moment after the last end: callbacks, sweeps, the readers' last page. */
const settleMsMax = 120_000
/** Descriptors that a server may have more than at its start, for connections that it keeps. */
const descriptorsMore = 12
/** Resident memory after everything, against that of a server that has just started. */
const memoryTimes = 2

export interface Broken {
  readonly rounds: number
  readonly losses: Losses
  /** What each node held before and after. */
  readonly held: readonly string[]
}

/**
 * Orders tasks and breaks things meanwhile, as the seed says: `rounds` times one after the other.
 * Then everything is whole again, and what was promised is looked at.
 */
export async function breakThings(o: {
  readonly seed: number
  readonly rounds: number
  readonly tasks: number
  readonly nodes: number
  /** Names of breaks; absent: all of them. */
  readonly only?: readonly string[] | undefined
  readonly say: (line: string) => void
}): Promise<Broken> {
  const random = new Random(o.seed)
  const weather: Weather = { model: 'fair' }
  // A budget of the day that nobody reaches: requests reserve of it, and settle.
  const settings = { TASK_CONCURRENCY: '2', LOG_LEVEL: 'warn', KEY_DAY_BUDGET_USD: '1000' }
  await using stage = await setStage({
    nodes: o.nodes,
    scenario: inWeather(scenario, weather),
    settings,
  })
  const callers = new Callers(stage.nodes, new Random(o.seed + 1))
  const before = stage.nodes.map((node) => node.holds())
  const agent = await makeAgent(callers)
  const ordered: Ordered[] = []
  const readings = new Map<string, Reading>()
  const orderOne = async (): Promise<void> => {
    const each = await orderNth(ordered.length, { stage, callers, agent })
    ordered.push(each)
    readings.set(each.id, follow(each.sessionId, { nodes: stage.nodes, random: new Random(1) }))
  }
  const humans = attendAll(callers, ordered)
  // Half of the tasks wait when it begins; the others are ordered while things break.
  while (ordered.length < Math.ceil(o.tasks / 2)) await orderOne()
  const all = breaks.filter(({ name }) => o.only?.includes(name) ?? true)
  // In turns, so that each comes as often as the others.
  const ahead: Break[] = []
  for (let round = 1; round <= o.rounds; round += 1) {
    if (ahead.length === 0) ahead.push(...random.shuffled(all))
    const { name, run } = ahead.pop() ?? random.pick(all)
    o.say(`${round}: ${name}`)
    const left = o.tasks - ordered.length
    const share = Math.ceil(left / (o.rounds - round + 1))
    const orders = (async () => {
      for (let n = 0; n < share; n += 1) await orderOne()
    })()
    await run({ stage, weather, random })
    await orders
    await sleep(random.between(500, 4000))
  }
  o.say('everything is whole again')
  await allEnded(callers, { ordered, say: o.say })
  await humans.stop()
  const losses = await settled(() => judge({ stage, callers, ordered, readings }))
  await tellLogs({ stage, ordered, losses, say: o.say })
  for (const reading of readings.values()) await reading.stop()
  const held = compareHeld(stage, before, losses)
  for (const node of stage.nodes) await node.stop()
  const dataDirs = stage.nodes.map(({ dataDir }) => dataDir)
  const sessions = ordered.map(({ sessionId }) => sessionId)
  losses.leftovers.push(...(await hostLeftovers(dataDirs, sessions)))
  return { rounds: o.rounds, losses, held }
}

/** Every task's human, as long as it has not ended. */
function attendAll(callers: Callers, ordered: readonly Ordered[]) {
  let isOver = false
  const attending = (async () => {
    while (!isOver) {
      for (const each of ordered) if (!isOver) await attend(callers, each)
      await sleep(500)
    }
  })()
  return {
    async stop() {
      isOver = true
      await attending
    },
  }
}

/** Says now and then what is still waited for. */
async function allEnded(
  callers: Callers,
  { ordered, say }: { readonly ordered: readonly Ordered[]; readonly say: (line: string) => void },
): Promise<void> {
  const deadline = Date.now() + endMsMax
  for (let looks = 1; Date.now() < deadline; looks += 1) {
    const open: string[] = []
    for (const { id, kind } of ordered) {
      const task = await callers.get<Task>(`/v1/tasks/${id}`)
      if (task.completed_at === null) open.push(`${kind.name}: ${task.reason}, ${task.message}`)
    }
    if (open.length === 0) return
    if (looks % looksSaid === 0) for (const line of open) say(`waits: ${line}`)
    await sleep(1000)
  }
}

/** The logs of tasks that something was lost of: what they did and where. */
async function tellLogs(o: {
  readonly stage: Stage
  readonly ordered: readonly Ordered[]
  readonly losses: Losses
  readonly say: (line: string) => void
}): Promise<void> {
  const { tasks, effects, events } = o.losses
  const lost = [...tasks, ...effects, ...events].join('\n')
  for (const { id, sessionId } of o.ordered.filter(({ id }) => lost.includes(id))) {
    const rows = await o.stage.query<{ line: string }>(
      `select concat_ws(' ', seq, created_at, attempt, type, left(payload::text, 300)) as line
      from events where session_id = '${sessionId}' order by seq`,
    )
    o.say(`the log of ${id}:`)
    for (const { line } of rows) o.say(`  ${line}`)
  }
}

/** The last verdict once nothing is missing any more, or when there was time enough. */
async function settled(look: () => Promise<Losses>): Promise<Losses> {
  const deadline = Date.now() + settleMsMax
  for (;;) {
    const losses = await look()
    const found = Object.values(losses).flat().length
    if (found === 0 || Date.now() > deadline) return losses
    await sleep(2000)
  }
}

function compareHeld(
  stage: Stage,
  before: readonly ReturnType<Stage['nodes'][number]['holds']>[],
  losses: Losses,
): string[] {
  return stage.nodes.map((node, n) => {
    const [was, is] = [before[n], node.holds()]
    if (was == null || is === null) return `${node.name} is not there`
    if (is.descriptors > was.descriptors + descriptorsMore)
      losses.leftovers.push(`${node.name}: ${is.descriptors - was.descriptors} descriptors more`)
    if (is.residentMib > was.residentMib * memoryTimes)
      losses.leftovers.push(`${node.name}: ${is.residentMib} MiB, ${was.residentMib} at its start`)
    return `${node.name}: ${was.descriptors} → ${is.descriptors} descriptors, ${was.residentMib} → ${is.residentMib} MiB`
  })
}
