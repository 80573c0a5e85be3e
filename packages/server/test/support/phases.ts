/** The phases of an attempt, for tests that end it in each of them. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type FakeRepository, type GitHubAction, say, script, use, when } from '@longhaul/testing'
import pg from 'pg'
import { groupsOf } from '../breaking/host.ts'
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
  ) => (session: Entered) => Promise<unknown>
}

/** A session that is on its way into a phase, or there. */
export interface Entered {
  readonly id: string
  readonly sessionId: string
  /** Its directory, as the host sees it. */
  readonly directory: string
  readonly repository: FakeRepository
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
      await blocked('tool')()(session)
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
): Promise<Entered> {
  const repository = await world.repository(phase.name.replaceAll(/\W+/g, '-'), brokenSum)
  const arrives = phase.watch(world, repository)
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: `${phase.instructions} (${phase.name})`,
    ...phase.order,
  })
  const { session_id: sessionId } = await server.task(id)
  const directory = join(world.dataDir, 'sessions', sessionId)
  const session = { id, sessionId, directory, repository }
  await arrives(session)
  return session
}

/** Asserts that a session's directory goes, and that nothing of any session runs. */
export async function assertSwept(world: World, entered: Entered): Promise<void> {
  await until('the workspace to be gone', () => !existsSync(entered.directory))
  await until('its control groups to be gone', () => groupsOf([entered.sessionId]).length === 0)
  assert.deepEqual(sandboxProcessesOf(world.dataDir), [])
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
    ({ directory }: Entered) =>
      until(
        `${name} to block`,
        () => existsSync(join(directory, 'workspace/.git', name)),
        phaseMsMax,
      )
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

/** The stored transcript has an entry like this. */
async function stored({ dataDir }: World, sessionId: string, pattern: string): Promise<void> {
  const host = join(dataDir, 'postgres18')
  const client = new pg.Client({ host, port: 5432, user: 'longhaul', database: 'postgres' })
  await client.connect()
  const text = 'select 1 from transcript_entries where session_id = $1 and entry::text like $2'
  const values = [sessionId, pattern]
  try {
    await until(
      'the turn to be stored',
      async () => ((await client.query(text, values)).rowCount ?? 0) > 0,
    )
  } finally {
    await client.end()
  }
}
