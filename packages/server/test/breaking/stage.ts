import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type FakeGitHub,
  type Scenario,
  type ScriptedModel,
  startFakeGitHub,
  startScriptedModel,
} from '@longhaul/testing'
import type pg from 'pg'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { EmbeddedPostgres, pgdataOf } from '../../src/store/embedded.ts'
import { assertNothingIn } from '../support/leaks.ts'
import { ask, makeDirectory, seedPostgres } from '../support/postgres.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { secrets } from '../support/world.ts'
import { Node } from './node.ts'
import { openWay, type Way } from './way.ts'

const startMsMax = 120_000

/** Everything that the breaks break: nodes, their PostgreSQL and the way to it, and what is outside. */
export interface Stage extends AsyncDisposable {
  readonly nodes: readonly Node[]
  readonly postgres: Postgres
  readonly way: Way
  readonly model: ScriptedModel
  readonly github: FakeGitHub
  readonly receiver: Receiver
  /** Looks into the store, past that way. */
  query<T extends object>(sql: string): Promise<T[]>
}

/** PostgreSQL with fsync as in production. */
interface Postgres {
  /** It dies at once, as in a crash, is away for so long, and comes back. */
  restart(awayMs: number): Promise<void>
}

export async function setStage(o: {
  readonly nodes: number
  readonly scenario: Scenario
  readonly settings?: Readonly<Record<string, string>>
}): Promise<Stage> {
  await using stack = new AsyncDisposableStack()
  const home = stack.use(await makeDirectory())
  await seedPostgres(home.path)
  const embedded = stack.use(
    await EmbeddedPostgres.start({
      ...{ dataDir: home.path, log: createLog('silent'), clock: systemClock },
      signal: AbortSignal.timeout(startMsMax),
    }),
  )
  const database = 'longhaul_breaking'
  await ask(embedded.connection, `create database ${database}`)
  const { host = '', user = '' } = embedded.connection
  const way = stack.use(await openWay(join(host, '.s.PGSQL.5432')))
  const model = stack.use(
    await startScriptedModel({ scenarios: [o.scenario], apiKey: secrets.model }),
  )
  const github = stack.use(await startFakeGitHub({ token: secrets.github }))
  const receiver = stack.use(await openReceiver())
  const shared = {
    DATABASE_URL: `postgres://${user}@127.0.0.1:${way.port}/${database}`,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: secrets.model,
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: secrets.github,
    CALLBACK_SECRET: secrets.callback,
    CALLBACK_ALLOW: `127.0.0.1:${receiver.port}`,
    ...o.settings,
  }
  const hasDisk = canMount()
  const nodes: Node[] = []
  for (let n = 0; n < o.nodes; n += 1) {
    const directory = stack.use(await makeDirectory())
    stack.defer(() => assertNothingIn(directory.path))
    const node = stack.use(
      new Node({ name: `node ${n + 1}`, path: directory.path, shared, hasDisk }),
    )
    await node.start()
    nodes.push(node)
  }
  const connection = (): pg.ClientConfig => ({ ...embedded.connection, database })
  const closing = stack.move()
  return {
    ...{ nodes, way, model, github, receiver },
    postgres: { restart: (awayMs) => restart(embedded, { dataDir: home.path, awayMs }) },
    query: (sql) => ask(connection(), sql),
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

async function restart(
  embedded: EmbeddedPostgres,
  { dataDir, awayMs }: { readonly dataDir: string; readonly awayMs: number },
): Promise<void> {
  const [pid] = (await readFile(join(pgdataOf(dataDir), 'postmaster.pid'), 'utf8')).split('\n')
  // An immediate shutdown: what was not committed is lost, and the next start recovers from the log.
  process.kill(Number(pid), 'SIGQUIT')
  await sleep(awayMs)
  await embedded.ensureRunning(AbortSignal.timeout(startMsMax))
}

/** Whether this machine lets a test give a node a disk of its own. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
