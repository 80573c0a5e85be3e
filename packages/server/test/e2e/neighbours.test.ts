/** Two servers of one host, with one database: what tells their sessions apart, and what is left of them. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { slotsMax } from '../../src/sandbox/limits.ts'
import { uidOf } from '../support/leaks.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import { makeWorld, sandboxProcessesOf, type World } from '../support/world.ts'

const rootOnly = process.getuid?.() === 0 ? false : 'a server that is not root has one uid for all'

/** Forked twice, in sessions and groups of their own, deaf to every signal that can be ignored. */
const stubborn = `cat >deaf.sh <<'END'
trap '' TERM HUP INT QUIT PIPE
[ "$1" = 0 ] || (setsid bash deaf.sh $(($1 - 1)) </dev/null >/dev/null 2>&1 &)
while :; do sleep 1; done
END
for n in 1 2 3; do (setsid bash deaf.sh 2 </dev/null >/dev/null 2>&1 &); done
sleep 0.5; touch left; sleep 600`

const scenario = script(
  when('Leave things running', use('Bash', { command: stubborn }), say('Never said.')),
)

let postgres: TestPostgres
let first: World
let second: World
let killed: ServerProcess
let repositories = 0
before(async () => {
  postgres = await startPostgres()
  first = await makeWorld([scenario])
  second = await makeWorld([])
  const shared = {
    DATABASE_URL: await postgres.createDatabase(),
    ANTHROPIC_BASE_URL: first.model.url,
    GITHUB_URL: first.github.url,
    GITHUB_API_URL: first.github.apiUrl,
  }
  killed = await first.start({ ...shared, TASK_CONCURRENCY: '1' })
  await busy(first)
  // The first one has its one task: this is the second one's.
  await second.start({ ...shared, TASK_CONCURRENCY: '2' })
  await busy(second)
})
after(async () => {
  // Where the test that kills it was left out: the other world, which goes first, knows nothing of it.
  await killed.kill()
  await second[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

test('sessions of two servers of a host have no uid in common', { skip: rootOnly }, () => {
  const [ours, theirs] = [first, second].map(({ dataDir }) => rangesOf(dataDir))
  assert.equal(ours?.length, 1)
  assert.equal(theirs?.length, 1)
  assert.notEqual(ours?.[0], theirs?.[0], 'the canary range is shared')
})

test('a killed server leaves nothing of what its agents left running, and its neighbour all', async () => {
  const running = sandboxProcessesOf(first.dataDir)
  const theirs = sandboxProcessesOf(second.dataDir)
  assert.ok(running.length >= 9, String(running.length))
  const [range] = rangesOf(first.dataDir)
  await killed.kill()
  const left = () => [...sandboxProcessesOf(first.dataDir), ...(rootOnly ? [] : processesOf(range))]
  await until('the canary processes to be gone', () => left().length === 0)
  const gone = theirs.filter((pid) => !sandboxProcessesOf(second.dataDir).includes(pid))
  // Sleeps of one second come and go.
  assert.ok(gone.length < theirs.length / 2, `${gone.length} of ${theirs.length} are gone`)
})

/** Orders a task, and resolves once its agent has left things running on this server. */
async function busy({ dataDir }: World): Promise<void> {
  repositories += 1
  const { url } = await first.repository(`sum${repositories}`, { 'a.txt': 'a\n' })
  await killed.order({ repoUrl: url, instructions: 'Leave things running.', checks: [] })
  const sessions = join(dataDir, 'sessions')
  const isBusy = (): boolean =>
    readdirSync(sessions).some((id) => existsSync(join(sessions, id, 'workspace', 'left')))
  await until(`a task in ${dataDir}`, isBusy, 60_000)
}

/** The ranges that what runs in the sandboxes of a directory has its uids in. */
function rangesOf(dataDir: string): number[] {
  return [
    ...new Set(
      sandboxProcessesOf(dataDir)
        .map(rangeOf)
        .filter((range) => range !== null),
    ),
  ]
}

function processesOf(range: number | undefined): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => rangeOf(pid) === range)
}

function rangeOf(pid: number): number | null {
  const uid = uidOf(pid)
  return uid === null ? null : Math.floor(uid / slotsMax)
}
