/** The phases of an attempt, for tests that end it in each of them. */
import { existsSync } from 'node:fs'
import { type FakeRepository, type GitHubAction, say, script, use, when } from '@longhaul/testing'
import { groupsOf } from '../breaking/host.ts'
import { type Ordered, orderOn } from './ordered.ts'
import { connectTo } from './postgres.ts'
import type { ServerApi } from './server-api.ts'
import { until } from './until.ts'
import { brokenSum, mend, sandboxProcessesOf, type World } from './world.ts'

/** How a task gets into a phase, and how to see that it is there, mid-way. */
export interface Phase {
  /** Completes "in …", and is told apart by the model. */
  readonly name: string
  readonly instructions: string
  readonly order?: object
  /** Called before the order is given; what it gives resolves once the task is in the phase. */
  readonly watch: (
    world: World,
    repository: FakeRepository,
  ) => (session: Ordered) => Promise<unknown>
}

/** What the model must know for the phases below. */
export const phaseScenario = script(
  when(
    'Mend and wait',
    use('Bash', { command: mend }),
    use('Bash', { command: block('tool') }),
    use('Bash', { command: 'npm test' }),
    say('Mended.'),
  ),
  when(
    'Mend and think',
    use('Bash', { command: mend }),
    // Who asks first is never answered: it is ended while it waits.
    say('Mended.', { fault: { kind: 'hang', where: 'headers' } }),
  ),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

/** Every phase, in the order of an attempt. */
export const phases = {
  clone: { name: 'the clone', instructions: 'Mend.', watch: held('fetch') },
  setup: {
    name: 'set-up',
    instructions: 'Mend.',
    order: { setup: [block('setup')] },
    watch: blocked('setup'),
  },
  tool: {
    name: 'a tool of the agent',
    instructions: 'Mend and wait.',
    watch: (world) => async (session) => {
      await session.marked('tool')
      await stored(world, session.sessionId, '%"tool_use"%.git/tool%')
    },
  },
  model: {
    name: 'a model request',
    instructions: 'Mend and think.',
    watch: (world) => async (session) => {
      await world.model.waitFor(
        ({ turn, lastUserText, outcome }) =>
          turn === 1 && outcome === 'pending' && lastUserText.includes('Mend and think'),
        phaseMsMax,
      )
      // Else the tool call counts as cut off, and the turn after it hangs anew.
      await stored(world, session.sessionId, '%"tool_result"%')
    },
  },
  checks: {
    name: 'the checks',
    instructions: 'Mend.',
    order: { checks: [block('check'), 'npm test'] },
    watch: blocked('check'),
  },
  push: { name: 'the push', instructions: 'Mend.', watch: held('push') },
  pullRequest: {
    name: 'the way from push to pull request',
    instructions: 'Mend.',
    watch: held('create_pull'),
  },
} as const satisfies Record<string, Phase>

/** Orders a task on a repository of its own, and waits until it is in the phase, mid-way. */
export async function enter(
  phase: Phase,
  { world, server }: { readonly world: World; readonly server: ServerApi },
): Promise<Ordered> {
  const repository = await world.repository(phase.name.replaceAll(/\W+/g, '-'), brokenSum)
  const arrives = phase.watch(world, repository)
  const instructions = `${phase.instructions} (${phase.name})`
  const order = { instructions, ...phase.order }
  const ordered = await orderOn(repository, { server, dataDir: world.dataDir, order })
  await arrives(ordered)
  return ordered
}

/** Asserts that a session's directory goes, and that nothing of any session runs. */
export async function assertSwept(world: World, { directory, sessionId }: Ordered): Promise<void> {
  await until('the workspace to be gone', () => !existsSync(directory))
  await until('its control groups to be gone', () => groupsOf([sessionId]).length === 0)
  await nothingRuns(world)
}

/** Resolves once nothing of any session runs: what was killed takes a moment until it is gone. */
export function nothingRuns({ dataDir }: World): Promise<void> {
  return until('what ran to be gone', () => sandboxProcessesOf(dataDir).length === 0)
}

/**
 * A command that blocks the first time, with a process that has left its group; then it does
 * nothing. Its mark is in a place of the clone that no commit carries.
 */
export function block(name: string): string {
  return `test -e .git/${name} || { touch .git/${name}; setsid sleep 300 & sleep 300; }`
}

/** A phase's watch: the command of that name blocks. */
export function blocked(name: string) {
  return () =>
    ({ marked }: Ordered) =>
      marked(name)
}

/** Generous: a busy machine is slow, and a condition that holds ends the wait at once. */
const phaseMsMax = 90_000

/**
 * A phase's watch: GitHub has the first request of this kind that git makes, and never answers it. Git
 * asks by GET before it fetches; the server itself asks by POST alone.
 */
function held(action: GitHubAction) {
  return ({ github }: World) => {
    let came = false
    github.beforeRequest((request) => {
      if (request.action !== action) return undefined
      if (action === 'fetch' && request.method !== 'GET') return undefined
      github.beforeRequest(null)
      came = true
      return Promise.withResolvers<never>().promise
    })
    return () => until(`GitHub to be asked for ${action}`, () => came, phaseMsMax)
  }
}

/** Resolves once the stored transcript has an entry like this. */
export async function stored(world: World, sessionId: string, pattern: string): Promise<void> {
  const text = 'select from transcript_entries where session_id = $1 and entry::text like $2'
  await until('the turn to be stored', async () => {
    return (await query(world, text, [sessionId, pattern])) > 0
  })
}

/** Looks into the embedded store of a world, or changes something there; returns how many rows. */
export async function query(
  { dataDir }: World,
  text: string,
  values: readonly string[] = [],
): Promise<number> {
  const client = await connectTo(dataDir)
  try {
    return (await client.query(text, [...values])).rowCount ?? 0
  } finally {
    await client.end()
  }
}
