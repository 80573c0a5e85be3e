/** The typed tools, called by a scripted model through the real CLI, sandbox and server. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Rule, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, makeWorld, type World } from '../support/world.ts'

const tool = (name: string, input: Readonly<Record<string, unknown>> = {}): Rule['steps'][0] =>
  use(`mcp__longhaul__${name}`, input)

const scenario = script(
  when(
    'Look',
    tool('report_progress', { message: 'Reading the code.', percent: 50 }),
    tool('report_progress', { message: '', more: true }),
    tool('fs_write', { path: 'b.txt', content: 'no' }),
    say('# Report'),
  ),
  when(
    'Tidy',
    tool('fs_list', { depth: 2 }),
    tool('fs_read', { path: 'src/a.txt' }),
    tool('fs_write', { path: 'new/b.txt', content: 'b\n' }),
    tool('fs_copy', { from: 'src/a.txt', to: 'new/a.txt' }),
    tool('fs_move', { from: 'src/old.txt', to: 'new/old.txt' }),
    tool('fs_delete', { path: 'src/a.txt' }),
    tool('fs_read', { path: '../../../etc/passwd' }),
    tool('attach_artifact', { path: 'new/b.txt', name: 'report.txt' }),
    tool('attach_artifact', { path: '.git/config' }),
    say('Tidied.'),
  ),
)

/** The answers of the typed tools, an error with that word before it. */
async function answers(id: string): Promise<string[]> {
  const results = (await server.events(id)).filter(({ type }) => type === 'agent.mcp_tool_result')
  return results.map(({ content, is_error: isError }) => {
    const [{ text = '' } = {}] = Array.isArray(content) ? content : []
    return `${isError === true ? 'error: ' : ''}${text}`
  })
}

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

test('an agent reports progress into the log, and hears what was wrong with a report', async () => {
  const { url: repoUrl } = await world.repository('look', { 'a.txt': 'a\n' })
  const { id } = await server.order({ type: 'analysis', repoUrl, instructions: 'Look.' })
  assert.equal((await server.ended(id)).reason, 'report')
  const events = await server.events(id)
  assertWholeLog(events)
  const progress = events.filter(({ type }) => type === 'task.progress')
  assert.deepEqual(
    progress.map(({ message, percent }) => ({ message, percent })),
    [{ message: 'Reading the code.', percent: 50 }],
  )
  const calls = events.filter(({ type }) => type === 'agent.mcp_tool_use')
  assert.deepEqual(
    calls.map(({ mcp_server_name: server, name }) => `${server} ${name}`),
    ['longhaul report_progress', 'longhaul report_progress', 'longhaul fs_write'],
  )
  const [first, second = '', third = ''] = await answers(id)
  assert.equal(first, 'Reported.')
  assert.match(second, /^error: .*message: Too small.*Unrecognized key/)
  assert.match(third, /^error: .*(There is no tool fs_write|No such tool)/)
})

test('an agent changes files by typed tools and attaches one, and is told what it may not', async () => {
  const files = { 'src/a.txt': 'a\n', 'src/old.txt': 'old\n' }
  const repository = await world.repository('tidy', files)
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Tidy.' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.deepEqual(await answers(id), [
    'src/\nsrc/a.txt  2\nsrc/old.txt  4',
    'a\n',
    'Made new/b.txt (2 bytes).',
    'Copied src/a.txt (a file) to new/a.txt.',
    'Moved src/old.txt (a file) to new/old.txt.',
    'Deleted src/a.txt (a file).',
    'error: "../../../etc/passwd" has a `..`, which may lead out of the workspace.',
    'Attached new/b.txt as attached-report.txt (text/plain, 2 bytes).',
    `error: ".git/config" is in git's own directory; use the git tools.`,
  ])
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, 'new/b.txt'), 'b\n')
  assert.equal(await repository.fileAt(branch, 'new/old.txt'), 'old\n')
  assert.equal(await repository.fileAt(branch, 'src/a.txt'), null)
  assert.equal(await server.artifact(id, 'attached-report.txt'), 'b\n')
})
