import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { orderOn } from '../support/ordered.ts'
import { assertWholeLog, makeWorld, mend } from '../support/world.ts'

/** A suite that takes as long as the test says, for a shell whose default patience is a second. */
const slowSuite = {
  'package.json': JSON.stringify({ name: 'slow', scripts: { test: 'sh suite.sh' } }),
  'sum.sh': 'echo $(( $1 - $2 ))\n',
  'suite.sh': [
    'until test -e .git/go; do sleep 0.1; done',
    'test "$(sh sum.sh 2 3)" = 5 && echo "all passed" || { echo "FAILED: sum"; exit 1; }',
    '',
  ].join('\n'),
}

const suite = script(
  when(
    'Run the suite',
    use('Bash', { command: 'npm test', description: 'Run the suite' }),
    // The command outlived the shell's patience: the SDK moved it to the background and says so.
    say('The suite is still running.'),
    // It ended, and the SDK starts a turn by itself.
    use('Bash', { command: mend, description: 'Mend the sum' }),
    use('Bash', { command: 'npm test', description: 'Run the suite again', timeout: 60_000 }),
    say('The sum subtracted. I fixed it and ran the suite again: all parts pass.'),
  ),
)

test('a suite that outlives the shell is waited for, found failing, fixed, run again and reported', async () => {
  await using world = await makeWorld([suite])
  const repository = await world.repository('slow', slowSuite)
  await using server = await world.start({ BASH_TIMEOUT_SECONDS: '1' })
  const order = { type: 'test', instructions: 'Run the suite, fix what fails, and report.' }
  const { id, mark } = await orderOn(repository, { server, dataDir: world.dataDir, order })
  // Were it to end sooner, the model would hear of it within its answer.
  await server.event(id, ({ type }) => type === 'agent.message')
  await writeFile(mark('go'), '')
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  assert.equal(task.result?.checks.outcome, 'passed')
  // The agent itself saw it fail and mended it: no round of the server's checks sent it back.
  assert.equal(task.result?.checks.rounds, 1)
  assert.match(task.result?.summary ?? '', /fixed it and ran the suite again/)
  assert.equal(repository.pullRequests.length, 1)
  const events = await server.events(id)
  assertWholeLog(events)
  const [first] = events.filter(({ type }) => type === 'agent.tool_result')
  assert.match(JSON.stringify(first?.['content']), /moved to the background/)
  const ran = events.filter(({ type }) => type === 'agent.tool_use').map((event) => event['input'])
  assert.deepEqual(
    ran.map((input) => Reflect.get(Object(input), 'command')),
    ['npm test', mend, 'npm test'],
  )
  assert.equal(world.model.duplicateTurns(), 0)
})
