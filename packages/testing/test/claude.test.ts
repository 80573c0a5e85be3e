/** The real claude CLI takes the scripted model for the real one: turns, crashes, faults. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { say, script, startScriptedModel, think, together, use, when } from '../src/index.ts'
import { kill, openClaude, waitForText } from './claude.ts'

const bash = (command: string) => use('Bash', { command, description: 'as scripted' })

test('the claude CLI runs a scenario of several turns', async () => {
  await using model = await startScriptedModel({
    scenarios: [
      script(
        when(
          'mend the greeting',
          together(think('I look first.'), say('I look.'), bash('cat greeting.txt')),
          bash('echo good day > greeting.txt && cat greeting.txt'),
          (conversation) => say(`It says: ${conversation.lastResults[0]?.text}`),
        ),
      ),
    ],
  })
  await using claude = await openClaude(model)
  await writeFile(join(claude.home, 'greeting.txt'), 'god day\n')
  const output = await claude.start('Please mend the greeting.').output
  const result = JSON.parse(output.trim().split('\n').at(-1) ?? '')
  assert.equal(result.result, 'It says: good day')
  assert.equal(result.is_error, false)
  assert.equal(await readFile(join(claude.home, 'greeting.txt'), 'utf8'), 'good day\n')
  const turns = model.requests.filter((request) => request.kind === 'turn')
  assert.deepEqual(
    turns.map(({ turn, outcome }) => ({ turn, outcome })),
    [0, 1, 2].map((turn) => ({ turn, outcome: 'answered' })),
  )
  assert.deepEqual(model.violations, [])
  assert.equal(model.duplicateTurns(), 0)
})

test('after kill -9 in a command the resumed CLI goes on and asks for no finished turn', async () => {
  await using model = await startScriptedModel({
    scenarios: [
      script(
        when(
          'count to three',
          bash('echo one >> log'),
          bash('echo two >> log; test -e resumed || tail -f --pid=$PPID log'),
          bash('echo three >> log'),
          say('Counted.'),
        ),
      ),
    ],
  })
  await using claude = await openClaude(model)
  const id = randomUUID()
  const first = claude.start('Please count to three.', '--session-id', id)
  await waitForText(join(claude.home, 'log'), 'two')
  await waitForText(claude.transcript(id), 'echo two')
  await kill(first.child)
  await writeFile(join(claude.home, 'resumed'), '')
  const output = await claude.start('The worker restarted; go on.', '--resume', id).output
  assert.match(output, /"result":"Counted\."/)
  // The command that was cut off is called again, in a turn of its own.
  assert.equal(await readFile(join(claude.home, 'log'), 'utf8'), 'one\ntwo\ntwo\nthree\n')
  assert.deepEqual(model.violations, [])
  assert.deepEqual(model.duplicates, [])
})

test('an answer that the CLI’s transcript lost is noticed when its turn is asked again', async () => {
  await using model = await startScriptedModel({
    scenarios: [script(when('say hello', bash('echo hello'), say('Said hello.')))],
  })
  await using claude = await openClaude(model)
  const id = randomUUID()
  await claude.start('Please say hello.', '--session-id', id).output
  const lines = (await readFile(claude.transcript(id), 'utf8')).split('\n')
  const kept = lines.slice(
    0,
    lines.findIndex((line) => line.includes('Said hello.')),
  )
  await writeFile(claude.transcript(id), `${kept.join('\n')}\n`)
  await claude.start('Go on.', '--resume', id).output
  const conversation = id
  assert.deepEqual(model.duplicates, [{ conversation, turn: 1, acknowledged: false }])
})

test('after kill -9 in a model request that request alone is asked again', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  await using model = await startScriptedModel({
    scenarios: [
      script(when('say hello', bash('echo hello'), say('Said hello.', { until: released }))),
    ],
  })
  await using claude = await openClaude(model)
  const id = randomUUID()
  const first = claude.start('Please say hello.', '--session-id', id)
  await model.waitFor(({ turn }) => turn === 1)
  // It asks before it has written down what it asks about; that is the gateway's to wait for.
  await waitForText(claude.transcript(id), '"tool_result"')
  await kill(first.child)
  await model.waitFor(({ turn, outcome }) => turn === 1 && outcome === 'aborted')
  release()
  const output = await claude.start('The worker restarted; go on.', '--resume', id).output
  assert.match(output, /"result":"Said hello\."/)
  assert.deepEqual(model.violations, [])
  assert.deepEqual(model.duplicates, [])
})

test('the CLI tries again after a cut stream, an error event and an overload', async () => {
  await using model = await startScriptedModel({
    scenarios: [
      script(
        when(
          'go through a storm',
          use('Bash', { command: 'echo 1' }, { fault: { kind: 'cut' } }),
          use('Bash', { command: 'echo 2' }, { fault: { kind: 'status', status: 529 } }),
          use('Bash', { command: 'echo 3' }, { fault: { kind: 'error_event' } }),
          say('Through.', { fault: { kind: 'status', status: 429, retryAfterS: 1 } }),
        ),
      ),
    ],
  })
  await using claude = await openClaude(model)
  const output = await claude.start('Please go through a storm.').output
  assert.match(output, /"result":"Through\."/)
  const outcomes = model.requests
    .filter((request) => request.kind === 'turn')
    .map(({ turn, outcome }) => `${turn} ${outcome}`)
  assert.deepEqual(outcomes, [
    '0 broken',
    '0 answered',
    '1 failed',
    '1 answered',
    '2 broken',
    '2 answered',
    '3 failed',
    '3 answered',
  ])
  assert.deepEqual(model.violations, [])
  assert.equal(model.duplicateTurns(), 0)
})
