import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { SessionEvent } from '@longhaul/client/contract'
import {
  type FakeGitHub,
  type FakeRepository,
  type Scenario,
  type ScriptedModel,
  startFakeGitHub,
  startScriptedModel,
} from '@longhaul/testing'
import { buildServer, type Server } from '../../src/build.ts'
import type { Clock } from '../../src/clock.ts'
import { loadConfig } from '../../src/config.ts'
import { knownSecrets } from '../../src/known-secrets.ts'
import { createLog, type Log } from '../../src/log.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { pgdataOf } from '../../src/store/embedded.ts'
import { assertNothingIn, processesIn, watchHandles } from './leaks.ts'
import { type Ordered, orderOn } from './ordered.ts'
import { makeDirectory, seedPostgres } from './postgres.ts'
import { ServerProcess } from './server.ts'
import { ServerApi, testKey } from './server-api.ts'

/**
 * Everything outside the server, and a data directory that outlives its processes. Disposing fails
 * when anything of it lives on, or a listener that was opened after it was made.
 */
export interface World extends AsyncDisposable {
  readonly model: ScriptedModel
  readonly github: FakeGitHub
  readonly dataDir: string
  /** Starts a server in this world; the one before must be gone. */
  start(settings?: Readonly<Record<string, string>>): Promise<ServerProcess>
  /** Starts a worker without an API in it. */
  startWorker(settings: Readonly<Record<string, string>>): Promise<ServerProcess>
  /** Starts one in this process, with a clock of the test's, and perhaps a disk of its. */
  startInProcess(
    clock: Clock,
    o?: Pick<Parameters<typeof buildServer>[0], 'statfs' | 'freeMemory'> & {
      readonly log?: Log
      readonly settings?: Readonly<Record<string, string>>
    },
  ): Promise<ServerApi>
  repository(name: string, files: Readonly<Record<string, string>>): Promise<FakeRepository>
  /** Orders a task on a repository of its own, whose sum is broken. */
  order(server: ServerApi, order: Readonly<Record<string, unknown>>): Promise<Ordered>
}

const callbackKey = 'canary"callback/secret>77aa'

/** What the server knows and no sandbox may ever see; each looks different in every encoding. */
export const secrets = {
  model: 'canary"model/key>5f0c',
  github: 'canary"github/token>91ab',
  callback: `whsec_${Buffer.from(callbackKey).toString('base64')}`,
  callbackKey,
  apiKey: testKey,
  /** Of an external PostgreSQL. */
  database: 'canary"database/password>c3d0',
  /** Of a package registry, in the operator's own files; it stands unquoted in an ini file. */
  npm: 'canary-npm/token+20e8',
  /** Of CREDENTIALS_FILE: a token for one owner, and the value of a secret that tasks use. */
  ownerToken: 'canary"owner/token>6ad2',
  bound: 'canary"bound/secret>e817',
  /** In a variable of the server's that is no setting. */
  environment: 'canary"environment/variable>33dd',
} as const

export async function makeWorld(scenarios: readonly Scenario[]): Promise<World> {
  await using stack = new AsyncDisposableStack()
  stack.defer(watchHandles())
  const directory = stack.use(await makeDirectory())
  stack.defer(() => assertNothingIn(directory.path))
  const model = stack.use(await startScriptedModel({ scenarios, apiKey: secrets.model }))
  const github = stack.use(await startFakeGitHub({ token: secrets.github }))
  let server: ServerProcess | null = null
  stack.defer(async () => {
    await server?.stop()
  })
  let inProcess: Server | null = null
  stack.defer(async () => {
    await inProcess?.[Symbol.asyncDispose]()
  })
  const base = {
    DATA_DIR: directory.path,
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: secrets.model,
    GITHUB_URL: github.url,
    GITHUB_API_URL: github.apiUrl,
    GITHUB_TOKEN: secrets.github,
    CALLBACK_SECRET: secrets.callback,
  }
  const repository: World['repository'] = (name, files) =>
    github.createRepository({ owner: 'acme', name, files })
  let ordered = 0
  /** What a server that keeps its own PostgreSQL here makes at its first start, in seconds. */
  const seed = async (settings: Readonly<Record<string, string>> = {}): Promise<void> => {
    if (settings['DATABASE_URL'] !== undefined || existsSync(pgdataOf(directory.path))) return
    await seedPostgres(directory.path)
  }
  const closing = stack.move()
  return {
    model,
    github,
    dataDir: directory.path,
    async start(settings = {}) {
      await seed(settings)
      server = await ServerProcess.start({ ...base, ...settings })
      return server
    },
    async startWorker(settings) {
      server = await ServerProcess.start({ ...base, ...settings }, 'work')
      return server
    },
    async startInProcess(clock, { settings, ...o } = {}) {
      await seed(settings)
      const config = loadConfig({ ...base, PORT: '0', LONGHAUL_API_KEY: testKey, ...settings })
      inProcess = await buildServer({
        config,
        scrubber: new Scrubber(knownSecrets(config)),
        clock,
        log: createLog('silent'),
        signal: AbortSignal.timeout(60_000),
        ...o,
      })
      return new ServerApi(inProcess.url)
    },
    repository,
    async order(from, order) {
      ordered += 1
      const own = await repository(`ordered-${ordered}`, brokenSum)
      return orderOn(own, { server: from, dataDir: directory.path, order })
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** A repository whose one test fails until `sum` adds. */
export const brokenSum: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ name: 'sum', scripts: { test: 'sh test.sh' } }),
  'sum.sh': 'echo $(( $1 - $2 ))\n',
  'test.sh': 'test "$(sh sum.sh 2 3)" = 5 && echo ok || { echo "sum is wrong"; exit 1; }\n',
}

/** The shell command that mends it. */
export const mend = "sed -i 's/-/+/' sum.sh"

/**
 * Asserts what holds for every log: dense numbers from 1, none doubled but what was accepted and then
 * processed, and ends, of which one is last.
 */
export function assertWholeLog(events: readonly SessionEvent[], endsOf = 1): void {
  assert.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
  )
  const processed = events.filter(({ processed_at }) => processed_at !== null)
  assert.equal(new Set(processed.map(({ id }) => id)).size, processed.length)
  const ends = events.filter(({ type }) => type === 'task.completed' || type === 'task.failed')
  assert.equal(ends.length, endsOf)
  assert.equal(events.at(-1)?.type, 'session.status_terminated')
}

/** Pids of processes that work in a sandbox of this data directory, as the host sees them. */
export function sandboxProcessesOf(dataDir: string): number[] {
  return ['sessions', 'repositories'].flatMap((room) => processesIn(`${dataDir}/${room}/`))
}
