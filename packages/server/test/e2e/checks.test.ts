/** Checks are outside the model's control: what it writes beside the repository decides nothing. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { brokenSum, makeWorld, mend, type World } from '../support/world.ts'

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([
    script(
      when(
        'Cheat',
        use('Bash', { command: 'echo "script-shell=/bin/true" > ~/.npmrc; echo 1 > note.txt' }),
        say('It passes now.'),
      ),
      when('The checks did not pass', use('Bash', { command: mend }), say('Now it does.')),
      when('Report', use('Bash', { command: 'echo 1 > reports/summary.md' }), say('Reported.')),
    ),
  ])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

test('a setting in the agent’s home decides nothing about a check, and what set-up wrote there does', async () => {
  const repository = await world.repository('cheat', brokenSum)
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: 'Cheat.',
    setup: ['echo prepared > ~/prepared'],
    checks: ['grep -q prepared ~/prepared', 'npm test'],
  })
  const task = await server.ended(id)
  assert.equal(task.status, 'completed')
  assert.equal(task.result?.checks.rounds, 2)
  const branch = task.result?.branch ?? ''
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
})

test('what an agent puts into a folder that set-up made is its work', async () => {
  const repository = await world.repository('reports', brokenSum)
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: 'Report.',
    setup: ['mkdir -p reports'],
    checks: ['true'],
  })
  const task = await server.ended(id)
  assert.equal(task.reason, 'done')
  assert.equal(await repository.fileAt(task.result?.branch ?? '', 'reports/summary.md'), '1\n')
})
