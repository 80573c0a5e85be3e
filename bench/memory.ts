import { setTimeout as wait } from 'node:timers/promises'
import { say, script, when } from '@longhaul/testing'
import type { Bench } from './entry.ts'
import { openPlace, type Place } from './place.ts'
import { commandOf, descendantsOf, proportionalMb, residentMb } from './processes.ts'

/** Tasks that are added while one runs: what the first one makes the server load is not theirs. */
const added = 4
/** A process that has just done something gets this long to come to rest. */
const restMs = 5000

/** What the server needs for itself, and for each task that runs. */
export const memory: Bench = {
  entries: [
    {
      name: 'idle-memory',
      what: 'resident memory of an idle server, without PostgreSQL',
      unit: 'MB',
      aim: { atMost: 120 },
    },
    {
      name: 'task-memory',
      what: 'memory of one more running task beyond its claude process: the server’s and the sandbox’s',
      unit: 'MB',
      aim: { atMost: 10 },
    },
  ],
  async measure(signal) {
    const held = Promise.withResolvers<void>()
    const scenario = script(when('Think', say('Thought.', { until: held.promise })))
    // A first start compiles, which every later one is spared.
    await (await openPlace([]))[Symbol.asyncDispose]()
    const settings = { TASK_CONCURRENCY: String(added + 1) }
    await using place = await openPlace([scenario], settings)
    const files = { 'README.md': 'A repository.\n' }
    const { url } = await place.github.createRepository({ owner: 'acme', name: 'held', files })
    await wait(restMs, undefined, { signal })
    const idle = residentMb(place.pid)
    const first = [await hold(place, url)]
    await wait(restMs, undefined, { signal })
    const before = withoutClaudeMb(place.pid)
    const more = await Promise.all(Array.from({ length: added }, () => hold(place, url)))
    await wait(restMs, undefined, { signal })
    const after = withoutClaudeMb(place.pid)
    held.resolve()
    for (const task of [...first, ...more]) await place.completed(task, signal)
    return { 'idle-memory': idle, 'task-memory': (after - before) / added }
  },
}

/** A task whose agent waits for the model's answer. */
async function hold(place: Place, repoUrl: string) {
  const instructions = `Think of ${crypto.randomUUID()}.`
  const task = await place.order({ repoUrl, instructions })
  await place.model.waitFor(({ lastUserText }) => lastUserText.includes(instructions), 60_000)
  return task
}

/** The server's and its sandboxes' processes; what they share is counted once. */
function withoutClaudeMb(server: number): number {
  const others = descendantsOf(server).filter((pid) => !/claude|postgres/.test(commandOf(pid)))
  return residentMb(server) + others.map(proportionalMb).reduce((a, b) => a + b, 0)
}
