/** The short form of `script/chaos`: three nodes and one PostgreSQL are broken four times, and nothing is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { breakThings } from '../breaking/breaking.ts'

/** One of each sort that takes little time: the long form has them all, at random. */
const only = [
  'kill -9 of a node',
  'PostgreSQL crashes and comes back',
  'the connections to PostgreSQL are cut',
  'the receiver of callbacks is down',
]

test('what is broken loses no event, no task and no turn, does nothing twice and leaves nothing', async (t) => {
  const say = (line: string): void => t.diagnostic(line)
  const { losses } = await breakThings({ seed: 3, rounds: 4, tasks: 7, nodes: 3, only, say })
  assert.deepEqual(losses, { events: [], tasks: [], turns: [], effects: [], leftovers: [] })
})
