/** A budget that many spend at once: sub-agents and a shell of one task, through one gateway. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Approval } from '@longhaul/client/contract'
import { type Conversation, type Step, say, script, together, use, when } from '@longhaul/testing'
import type { ServerApi } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { assertWholeLog, brokenSum, makeWorld, type World } from '../support/world.ts'

const model = 'claude-opus-5-5'
/** Of every answer that is counted: 20,000 tokens at 20 dollars a million. */
const usage = {
  input_tokens: 0,
  output_tokens: 20_000,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}
const answerUsd = 0.4
const capUsd = 24
const subagents = 8
/** Of so many at least the first requests are under way together: the worst of all would not be paid for. */
const atOnceMin = 5
const fromShell = 'Hand over tokens.'
const fromSubagent = 'Spend a part, number'

/** How many answers are under way, and how many there ever were at once. */
let inFlight = 0
let atOnce = 0
/** The first requests of the sub-agents; the shell is answered from the last of them on. */
const parts = new Set<string>()
const severalBegan = Promise.withResolvers<void>()
const allBegan = Promise.withResolvers<void>()

async function underWay({ lastUserText }: Conversation): Promise<void> {
  inFlight += 1
  atOnce = Math.max(atOnce, inFlight)
  if (lastUserText.includes(fromSubagent)) parts.add(lastUserText)
  if (parts.size === subagents) allBegan.resolve()
  if (parts.size >= atOnceMin) severalBegan.resolve()
  if (lastUserText.includes(fromSubagent)) await severalBegan.promise
  if (lastUserText === fromShell) await allBegan.promise
  await new Promise((resolve) => setTimeout(resolve, 150))
  inFlight -= 1
}

const dear = (step: Step): Step => ({ ...step, usage, until: underWay })
const curl = `curl -s -m 600 -o /dev/null "$ANTHROPIC_BASE_URL/v1/messages" -d '${JSON.stringify({
  ...{ model, max_tokens: usage.output_tokens },
  tools: [{ name: 'x', input_schema: { type: 'object' } }],
  messages: [{ role: 'user', content: fromShell }],
})}'`
/** Two at a time, for as long as the sandbox lives and longer than the money lasts. */
const shell = `for n in $(seq 2); do (for m in $(seq 100); do ${curl} || exit; done) & done; wait`

const spend = (): Step => dear(use('Bash', { command: 'true' }))
const scenario = script(
  when(fromShell, dear(say('Here.'))),
  when(fromSubagent, ...Array.from({ length: 100 }, spend)),
  when(
    'Spend it all',
    dear(
      together(
        use('Bash', { command: shell, run_in_background: true }),
        ...Array.from({ length: subagents }, (_, n) =>
          use('Agent', {
            ...{ subagent_type: 'general-purpose', description: `Part ${n}` },
            prompt: `${fromSubagent} ${n}.`,
            run_in_background: true,
          }),
        ),
      ),
    ),
    say('Never said.'),
  ),
)

let world: World
let server: ServerApi
before(async () => {
  world = await makeWorld([scenario])
  server = await world.start({ MODEL: model })
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

test('eight sub-agents and a shell together spend one answer more than the budget at most', async () => {
  const repository = await world.repository('sum', brokenSum)
  const order = { repoUrl: repository.url, instructions: 'Spend it all.', maxBudgetUsd: capUsd }
  const { id } = await server.order(order)
  await server.event(id, ({ type }) => type === 'task.approval_requested')
  assert.equal((await server.task(id)).reason, 'waiting_budget')
  const asked = answered().length
  const { data } = await server.get<{ data: Approval[] }>(`/v1/tasks/${id}/approvals`)
  await server.post(`/v1/tasks/${id}/approvals/${data[0]?.id}`, { decision: 'deny' })
  const task = await server.ended(id)
  assert.equal(task.reason, 'budget_declined', JSON.stringify(task.error))
  assertWholeLog(await server.events(id))

  // The model counts for itself: what was answered in full was paid for.
  const spentUsd = task.result?.cost_usd ?? Number.POSITIVE_INFINITY
  assert.ok(spentUsd >= capUsd && spentUsd < capUsd + 1.1 * answerUsd, `${spentUsd} of ${capUsd}`)
  assert.ok(asked * answerUsd < capUsd + 1.1 * answerUsd, `${asked} answers`)
  assert.ok(atOnce >= atOnceMin, `only ${atOnce} answers were under way at once`)
  const said = answered().map(({ lastUserText }) => lastUserText)
  assert.ok(said.some((text) => text === fromShell))
  const ofParts = new Set(said.filter((text) => text.includes(fromSubagent)))
  assert.equal(ofParts.size, subagents)

  // And no more once it is spent, or declined.
  await until('nothing to be under way', () => inFlight === 0)
  assert.equal(answered().length, asked)
})

/** But for what the agent itself says to those whom it started, and when it hears of their ends. */
function answered() {
  return world.model.requests.filter(
    ({ kind, outcome, turn, lastUserText }) =>
      kind === 'turn' &&
      outcome === 'answered' &&
      (turn === 0 || lastUserText.includes(fromSubagent)),
  )
}
