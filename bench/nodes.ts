import { availableParallelism, cpus, loadavg } from 'node:os'
import { say, script, use, when } from '@longhaul/testing'
import { type Database, makeDataDir, startDatabase } from './database.ts'
import type { Bench } from './entry.ts'
import { openPlace, type Place } from './place.ts'
import { cpuSeconds } from './processes.ts'

const nodes = [1, 2, 4] as const
const tasksAtSizeOne = 12
const perNode = 2

/** What an agent once did, played again: its model costs nothing, the rest is real. */
const scenario = script(
  when(
    'Play it again',
    use('Bash', { command: 'cat README.md; seq 1 200' }),
    use('Bash', { command: 'echo changed > changed.txt; git diff --stat' }),
    say('Changed.'),
  ),
)

/** Several nodes of one database on this host, and what is used up first. */
export const severalNodes: Bench = {
  onRequest: true,
  entries: [
    {
      name: 'scale-nodes-2',
      what: 'tasks a minute on two nodes of this host against one: the processors are the same ones',
      unit: 'ratio',
      aim: { atLeast: 0.8 },
    },
    {
      name: 'scale-nodes-4',
      what: 'the same with four nodes',
      unit: 'ratio',
      aim: { atLeast: 0.8 },
    },
  ],
  async measure(signal, size) {
    const tasks = Math.max(2, Math.round(tasksAtSizeOne * size))
    const runs: Run[] = []
    for (const count of nodes) runs.push(await runOn(count, { tasks, signal }))
    const [one, two, four] = runs as [Run, Run, Run]
    return {
      'scale-nodes-2': two.perMinute / one.perMinute,
      'scale-nodes-4': four.perMinute / one.perMinute,
    }
  },
}

/**
 * Seconds of processors, by whom. What ran in sandboxes is only in the last: the kernel adds the time of a
 * process to nobody's when its namespace is killed around it.
 */
interface Used {
  readonly postgres: number
  readonly servers: number
  /** Of everything that runs on this machine, whoever started it. */
  readonly machine: number
}

interface Run {
  readonly perMinute: number
}

async function runOn(
  count: number,
  { tasks, signal }: { readonly tasks: number; readonly signal: AbortSignal },
): Promise<Run> {
  await using stack = new AsyncDisposableStack()
  const dataDir = stack.use(await makeDataDir())
  const database = stack.use(await startDatabase(dataDir.path, signal))
  const shared = { DATABASE_URL: database.url, TASK_CONCURRENCY: String(perNode * count) }
  const first = stack.use(await openPlace([scenario], shared))
  const places = [first]
  const { model, github } = first
  const around = {
    ...{ ANTHROPIC_BASE_URL: model.url, GITHUB_URL: github.url, GITHUB_API_URL: github.apiUrl },
  }
  for (let n = 1; n < count; n += 1)
    places.push(stack.use(await openPlace([], { ...shared, ...around })))
  const { url } = await github.createRepository({
    ...{ owner: 'acme', name: 'again', files: { 'README.md': 'A repository.\n' } },
  })
  const begun = performance.now()
  const before = usedBy(places, database)
  const ordered = await Promise.all(
    Array.from({ length: tasks }, () =>
      first.order({ repoUrl: url, instructions: 'Play it again.' }),
    ),
  )
  await Promise.all(ordered.map((task) => first.completed(task, signal)))
  const seconds = (performance.now() - begun) / 1000
  const after = usedBy(places, database)
  const logs = await Promise.all(ordered.map((task) => first.events(task.session_id)))
  const used = {
    postgres: after.postgres - before.postgres,
    servers: after.servers - before.servers,
    machine: after.machine - before.machine,
  }
  const share = (by: number) => `${((100 * by) / (seconds * availableParallelism())).toFixed(0)} %`
  console.error(
    `  ${count} nodes: ${((tasks * 60) / seconds).toFixed(1)} tasks a minute, ` +
      `${(logs.flat().length / seconds).toFixed(1)} events a second; of all processors servers took ` +
      `${share(used.servers)}, PostgreSQL ${share(used.postgres)}, this machine in all ${share(used.machine)}; ` +
      `load ${loadavg()[0]?.toFixed(1)}`,
  )
  return { perMinute: (tasks * 60) / seconds }
}

function usedBy(places: readonly Place[], database: Database): Used {
  const servers = places.map(({ pid }) => cpuSeconds(pid))
  const { own, below } = cpuSeconds(database.pid)
  return {
    postgres: own + below,
    servers: servers.reduce((sum, each) => sum + each.own, 0),
    machine:
      cpus().reduce((sum, { times: { user, nice, sys } }) => sum + user + nice + sys, 0) / 1000,
  }
}
