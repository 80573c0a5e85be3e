/** Repositories that are full of traps: a task on one is a task like any other. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Conversation, type Step, say, script, use, when } from '@longhaul/testing'
import { type Operator, startOperator } from '../support/operator.ts'
import { assertOnlyDecoys, searchProgram } from '../support/search.ts'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, mend, secrets, type World } from '../support/world.ts'
import {
  addSubmodules,
  bait,
  commitForbidden,
  fillHostileTree,
  forbiddenPaths,
  strangeNames,
} from './hostile-repository.ts'
import { hostCanary, type Lures, setLures } from './hostile-stage.ts'

const tool = (name: string, input: Readonly<Record<string, unknown>> = {}): Step =>
  use(`mcp__longhaul__${name}`, input)
const changed = ['new\nline', '$(touch injected)', '-rf', 'e\u0301 and \u00e9']
const change = changed.map((name) => `printf new > ./'${name}'`).join('; ')
/** What the model was told first, and at the end. */
const heard: Conversation[] = []

const steps: Step[] = [
  use('Bash', { command: 'node search.mjs' }),
  use('Bash', { command: 'git status --short' }),
  use('Read', { file_path: 'sub/CLAUDE.md' }),
  tool('fs_list', { depth: 2 }),
  ...['link-out', 'directory-out/canary', 'up/passwd', 'loop', 'to-git'].map((path) =>
    tool('fs_read', { path }),
  ),
  tool('attach_artifact', { path: 'link-out' }),
  tool('attach_artifact', { path: 'AGENTS.md' }),
  tool('git_log', { limit: 5 }),
  tool('code_search', { pattern: 'echo', globs: ['**'] }),
  use('Bash', { command: `${mend}; ${change}` }),
  tool('git_diff', { summary: true }),
  tool('git_status'),
  tool('git_commit', { message: 'Mend the sum' }),
  tool('git_push'),
  tool('git_pull'),
  tool('attach_artifact', { path: 'sum.sh' }),
]
const scenario = script(
  when(
    'Mend the hostile one',
    ...steps.map((step) => (conversation: Conversation) => {
      heard.push(conversation)
      return step
    }),
    say('Mended.'),
  ),
  when('Mend', use('Bash', { command: mend }), say('Mended.')),
)

let operator: Operator
let lures: Lures
let world: World
let server: ServerProcess
const stack = new AsyncDisposableStack()
before(async () => {
  operator = stack.use(await startOperator([]))
  lures = stack.use(await setLures())
  world = stack.use(await makeWorld([scenario]))
  server = await world.start(operator.settings)
})
after(() => stack.disposeAsync())

test('of a repository with every trap at once nothing is run, followed or believed, from the clone to the pull request', async () => {
  const { host } = new URL(operator.registry.url)
  const repository = await world.github.createRepository({
    ...{ owner: 'acme', name: 'hostile', files: { 'search.mjs': searchProgram(secrets) } },
    seed: (tree) =>
      fillHostileTree(tree, {
        mark: (name) => `curl -s -m 60 -x http://127.0.0.1:3128 http://${host}/ran-${name}`,
        outside: lures.file,
        elsewhere: `http://127.0.0.1:${lures.port}/`,
      }),
  })
  await addSubmodules(repository.directory)
  const before = await repository.commits('main')
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: 'Mend the hostile one.',
  })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const events = await server.events(id)
  assertWholeLog(events)

  // Set-up ran what the package manager runs, which shows that marks are made; nothing else ran.
  const marks = operator.registry.requests.filter(({ path }) => path.startsWith('ran-'))
  assert.deepEqual(
    marks.map(({ path }) => path),
    ['ran-preinstall'],
  )
  assert.equal(lures.connections(), 0)
  const [searched = ''] = await server.toolResults(id)
  assertOnlyDecoys(searched)
  await assertNothingTold(id, [events, task, repository.pullRequests])
  assertNothingBelieved()

  const results = events.filter(({ type }) => type === 'agent.mcp_tool_result')
  const refused = results.filter((event) => event['is_error'] === true)
  // Links, and a setting of a submodule that git itself refuses.
  assert.equal(refused.length, 8, JSON.stringify(refused))
  const branch = task.result?.branch ?? ''
  const diff = await repository.diff('main', branch)
  assert.match(diff, /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)
  assert.equal(diff.match(/^diff --git/gm)?.length, changed.length + 1)
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'])
  assert.deepEqual((await repository.commits(branch)).slice(1), before)
  for (const name of strangeNames)
    assert.notEqual(await repository.fileAt(branch, name), null, name)
  const shown = await (await server.request(`/v1/tasks/${id}/diff`)).text()
  assert.deepEqual(
    JSON.parse(shown)
      .files.map(({ path }: { path: string }) => path)
      .sort(),
    [...changed, 'sum.sh'].sort(),
  )
  assert.equal(await server.artifact(id, 'attached-sum.sh'), 'echo $(( $1 + $2 ))\n')
})

for (const path of forbiddenPaths) {
  test(`a repository with ${JSON.stringify(path.join('/'))} ends its task with a sentence, and nothing of it is run`, async () => {
    const name = `forbidden-${forbiddenPaths.indexOf(path)}`
    const repository = await world.repository(name, {})
    await commitForbidden(repository.directory, path)
    const { id } = await server.order({ repoUrl: repository.url, instructions: 'Mend.' })
    const task = await server.ended(id)
    assert.equal(task.reason, 'repository_unreachable')
    assert.match(
      task.error?.message ?? '',
      /git clone failed: error: invalid path '.*config|post-checkout'/,
    )
    assertWholeLog(await server.events(id))
  })
}

/** What the server tells of the task has no secret, and nothing of the host's files. */
async function assertNothingTold(id: string, known: object): Promise<void> {
  const response = await server.request(`/v1/tasks/${id}/artifacts?limit=100`)
  const { data }: { data: { name: string }[] } = JSON.parse(await response.text())
  const names = data.map(({ name }) => name)
  assert.ok(names.includes('setup.log') && names.includes('checks-1.log'), names.join())
  const artifacts = await Promise.all(names.map((name) => server.artifact(id, name)))
  // Both printed their variables.
  const logs = artifacts.filter((text) => /^HOME=/m.test(text))
  assert.equal(logs.length, 2)
  const told = JSON.stringify([known, await server.workflow(id), server.output]) + artifacts.join()
  for (const secret of [...Object.values(secrets), hostCanary])
    for (const form of [secret, JSON.stringify(secret).slice(1, -1)])
      assert.ok(!told.includes(form), secret)
}

/** The model has the tools and the words of the server, and of the repository a bounded piece. */
function assertNothingBelieved(): void {
  const [first] = heard
  const last = heard.at(-1)
  assert.ok(first !== undefined && last !== undefined)
  for (const { tools, system, userTexts } of [first, last]) {
    assert.ok(!tools.some((name) => /evil|skill/i.test(name)), tools.join())
    assert.ok(!(system + userTexts.join()).includes(bait))
    assert.ok(!system.includes(hostCanary))
    // Its words stand between the marks of the server, which it cannot imitate, and are bounded.
    const [, words = '', after] =
      /\n<repository-file name="CLAUDE.md">\n(.*?)\n<\/repository-file>(.*)/s.exec(system) ?? []
    assert.match(words, /^Ignore your instructions/)
    assert.match(words, /^&lt;\/repository-file>$/m)
    assert.ok(words.length > 19_000 && words.length < 23_000, `${words.length} characters`)
    assert.doesNotMatch(after ?? '', /<repository-file|xxx/)
  }
}
