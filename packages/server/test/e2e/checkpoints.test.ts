/** A node is lost with its workspaces, in the middle of a task, and another one goes on. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { SessionEvent } from '@longhaul/client/contract'
import {
  type Conversation,
  type FakeRepository,
  type Scenario,
  say,
  script,
  use,
  when,
} from '@longhaul/testing'
import { systemClock } from '../../src/clock.ts'
import { uuidOf } from '../../src/ids.ts'
import { mountsBelow, unmountImage } from '../../src/sandbox/disk/image.ts'
import { lapse } from '../support/leases.ts'
import { orderOn } from '../support/ordered.ts'
import { block } from '../support/phases.ts'
import { ask, startPostgres, type TestPostgres } from '../support/postgres.ts'
import type { ServerProcess } from '../support/server.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

const files = { ...brokenSum, 'old.md': 'old\n', '.gitignore': '*.log\n' }

/** Of every kind that a workspace can hold. */
const changes = `${mend} && git commit -qam 'The sum adds' && git branch aside && rm old.md &&
  echo new > 'new file.txt' && printf '#!/bin/sh\\n' > run.sh && chmod +x run.sh && ln -s sum.sh link &&
  echo '# more' >> test.sh && git add test.sh && echo no > ignored.log`
const large = 'head -c 6000000 /dev/urandom > large.bin'
/** Whatever runs of it writes to its home. */
const plant = `${mend}; echo mended > mended.txt; t=$PWD/.git/trap
  printf '#!/bin/sh\\necho ran >> "$HOME/ran"\\ncat\\n' > $t; chmod +x $t
  for hook in post-checkout post-index-change reference-transaction post-merge; do cp $t .git/hooks/$hook; done
  git config core.fsmonitor $t; git config filter.x.clean $t; git config filter.x.smudge $t
  echo '* filter=x' > .gitattributes; ln -s / root; ln -s ../../.. up
  git update-ref refs/longhaul/checkpoint HEAD; git update-ref refs/heads/main HEAD
  rm -f $HOME/ran`
const replace = `mv .git ../old; git init -q . && git commit -q --allow-empty -m forged &&
  git update-ref refs/longhaul/checkpoint HEAD; echo forged > forged.txt`
const look = `git status --porcelain; git log --format=%s; cat sum.sh; ls`
const lookForTraps = `git config --local --list | grep -c 'trap\\|filter'; git for-each-ref refs/longhaul
  ls .git/hooks | grep -v sample; test ! -e $HOME/ran || cat $HOME/ran; cat mended.txt; git log --format=%s`

/** Blocks until its server dies; the agent that is told of that looks around instead. */
const blockOnce = (then: string) => (conversation: Conversation) =>
  use('Bash', { command: wasCutOff(conversation) ? then : block('tool') })
const wasCutOff = ({ history }: Conversation) =>
  history.some((entry) => entry.kind === 'turn' && entry.results.some((each) => each.interrupted))

const bash = (command: string) => use('Bash', { command })
/** The agent does it once a checkpoint was seen: it would not wait for one. */
const afterwards = (command: string) =>
  use('Bash', { command }, { until: () => checkpointed.promise })
let checkpointed = Promise.withResolvers<void>()
const scenario = script(
  when('Change everything', bash(changes), blockOnce(look), say('Changed.')),
  when('Grow large', bash(mend), afterwards(large), blockOnce(look), say('Grown.')),
  when('Set traps', bash(plant), afterwards(replace), blockOnce(lookForTraps), say('Set.')),
  when('Only think', bash('ls'), blockOnce(`${mend}; ${look}`), say('Thought.')),
)
/** What each conversation was told, as its last request has it. */
const told = new Map<string, readonly string[]>()
const listening: Scenario = (conversation) => {
  told.set(conversation.key, conversation.userTexts)
  return scenario(conversation)
}

let world: World
let postgres: TestPostgres
let made = 0
before(async () => {
  postgres = await startPostgres()
  world = await makeWorld([listening])
})
after(async () => {
  await world[Symbol.asyncDispose]()
  await postgres[Symbol.asyncDispose]()
})

interface Site {
  readonly id: string
  readonly sessionId: string
  readonly repository: FakeRepository
  readonly here: ServerProcess
  readonly directory: string
  /** Starts a server with the same database and nothing else. */
  elsewhere(): Promise<ServerProcess>
  query(text: string): Promise<Record<string, unknown>[]>
}

/** A task whose agent blocks on the first of two nodes. */
async function blockedTask(
  instructions: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Site> {
  made += 1
  checkpointed = Promise.withResolvers()
  const databaseUrl = await postgres.createDatabase()
  const at = (node: string) => ({
    ...{ DATABASE_URL: databaseUrl, DATA_DIR: join(world.dataDir, `${node}${made}`) },
    ...settings,
  })
  const here = await world.start(at('a'))
  const repository = await world.repository(`lost-${made}`, files)
  const directory = at('a').DATA_DIR
  const order = { instructions }
  const ordered = await orderOn(repository, { server: here, dataDir: directory, order })
  const { id, sessionId } = ordered
  if (instructions !== 'Only think')
    await here.event(id, ({ type }) => type === 'workspace.checkpoint')
  checkpointed.resolve()
  await ordered.marked('tool')
  const query = (text: string) => ask(databaseUrl, text)
  const call = 'select from transcript_entries where entry::text like \'%"tool_use"%.git/tool%\''
  await until('the call to be stored', async () => (await query(call)).length > 0)
  return {
    ...{ id, sessionId, repository, here, directory, query },
    elsewhere: () => world.start(at('b')),
  }
}

/** The node is gone, with everything on its disk. */
async function lose({ here, directory, query }: Site): Promise<void> {
  await here.kill()
  await query(lapse)
  for (const at of await mountsBelow(directory))
    await unmountImage({ at, path: process.env['PATH'] ?? '' }, systemClock)
  await rm(directory, { recursive: true })
}

function typed(events: readonly SessionEvent[], type: string): SessionEvent[] {
  return events.filter((event) => event.type === type)
}

async function endedOnce(server: ServerProcess, { id, repository }: Site) {
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const events = await server.events(id)
  assertWholeLog(events)
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'].sort())
  assert.equal(repository.pullRequests.length, 1)
  assert.deepEqual(world.model.duplicates, [])
  assert.deepEqual(world.model.violations, [])
  const words = (told.get(uuidOf(task.session_id)) ?? []).join('\n')
  return { task, events, branch, words, results: await server.toolResults(id) }
}

test('a task whose node is lost goes on elsewhere with all that its agent had done, and no turn runs twice', async () => {
  const site = await blockedTask('Change everything')
  const taken = await site.here.event(site.id, ({ type }) => type === 'workspace.checkpoint')
  await lose(site)
  await using there = await site.elsewhere()
  const { events, branch, words, results } = await endedOnce(there, site)

  const [restored] = typed(events, 'workspace.restored')
  assert.equal(restored?.['commit'], taken['commit'])
  assert.equal(restored?.['of'], taken['of'])
  assert.match(words, /made anew on another machine[\s\S]*Cut off was:\n- Bash .*\.git\/tool/)
  assert.doesNotMatch(words, /may be missing/)
  const looked = results.at(-1) ?? ''
  assert.match(
    looked,
    /^ D old\.md\nM {2}test\.sh\n\?\? link\n\?\? "new file\.txt"\n\?\? run\.sh\n/,
  )
  assert.match(looked, /The sum adds\nFirst commit\necho \$\(\( \$1 \+ \$2 \)\)\n/)
  assert.doesNotMatch(looked, /ignored\.log/)

  const calls = typed(events, 'agent.tool_use').map(
    ({ input }) => (input as { command: string }).command,
  )
  assert.equal(calls.filter((command) => command === changes).length, 1)
  assert.deepEqual(
    (await site.repository.commits(branch)).map(({ subject }) => subject),
    ['Change everything', 'The sum adds', 'First commit'],
  )
  const diff = await site.repository.diff('main', branch)
  assert.match(diff, /new file mode 100755\n[^@]*run\.sh/)
  assert.match(diff, /new file mode 120000/)
  assert.match(diff, /deleted file mode 100644\n[^@]*old\.md/)
  assert.deepEqual(await site.query('select from checkpoints'), [])
  assert.deepEqual(await site.query('select from checkpoint_chunks'), [])
})

test('what a stopping server cut off is kept, too, and not only what had ended', async () => {
  const site = await blockedTask('Only think')
  assert.equal(await site.here.stop(), 0)
  const kept = await site.query('select commit, bytes, is_whole from checkpoints')
  assert.deepEqual(kept, [{ commit: null, bytes: 0, is_whole: true }])
  await using there = await site.elsewhere()
  const { events, words } = await endedOnce(there, site)
  assert.deepEqual(
    typed(events, 'workspace.restored').map(({ commit, bytes }) => ({ commit, bytes })),
    [{ commit: null, bytes: 0 }],
  )
  assert.doesNotMatch(words, /may be missing/)
})

test('what is too large is said once, and the agent that goes on elsewhere hears what it lacks', async () => {
  const site = await blockedTask('Grow large', { CHECKPOINT_MAX_MIB: '1' })
  const skipped = await site.here.event(
    site.id,
    ({ type }) => type === 'workspace.checkpoint_skipped',
  )
  assert.equal(skipped['reason'], 'too_large')
  await lose(site)
  await using there = await site.elsewhere()
  const { words, results, events } = await endedOnce(there, site)
  assert.equal(typed(events, 'workspace.checkpoint_skipped').length, 1)
  assert.match(words, /What these calls changed may be missing, too[^\n]*\n- Bash .*large\.bin/)
  assert.match(results.at(-1) ?? '', /^ M sum\.sh\n/)
  assert.doesNotMatch(results.at(-1) ?? '', /large\.bin/)
})

test('traps in a lost workspace are not set in the new one, and a repository in its place is not taken for it', async () => {
  const site = await blockedTask('Set traps')
  await lose(site)
  await using there = await site.elsewhere()
  const { results, branch } = await endedOnce(there, site)
  assert.equal(results.at(-1)?.trim(), '0\nmended\nFirst commit')
  assert.equal(await site.repository.fileAt(branch, 'mended.txt'), 'mended\n')
})

test('a task that is cancelled while its node is lost still leaves its work', async () => {
  const site = await blockedTask('Change everything')
  await lose(site)
  await using there = await site.elsewhere()
  await there.cancel(site.id)
  const task = await there.ended(site.id)
  assert.equal(task.reason, 'cancelled')
  assert.match(task.message, /The work so far is on the branch agent\/.*-wip\.$/)
  const branch = task.result?.branch ?? ''
  assert.equal(await site.repository.fileAt(branch, 'new file.txt'), 'new\n')
  assertWholeLog(await there.events(site.id))
})
