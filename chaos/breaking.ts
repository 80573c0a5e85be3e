import { parseArgs } from 'node:util'
import { breakThings } from '../packages/server/test/breaking/breaking.ts'

const bounds = {
  rounds: { min: 1, max: 1000 },
  tasks: { min: 1, max: 200 },
  nodes: { min: 1, max: 8 },
}

/**
 * Breaks a running system again and again, as a seed says, and looks at what was lost: orders, events,
 * turns, effects, and whatever is left over. Prints one JSON object as its last line; the exit code is
 * 1 when anything was.
 */
export async function breaking(args: readonly string[]): Promise<number> {
  const { seed, rounds, tasks, nodes, only, json } = read(args)
  const say = (line: string): void => {
    if (!json) console.log(line)
  }
  say(`seed ${seed}: ${nodes} nodes, ${tasks} tasks, ${rounds} rounds`)
  const { losses, held } = await breakThings({ ...{ seed, rounds, tasks, nodes, only, say } })
  for (const line of held) say(line)
  for (const [kind, lines] of Object.entries(losses))
    for (const line of lines) console.error(`${kind}: ${line}`)
  const summary = {
    seed,
    rounds,
    lost_events: losses.events.length,
    lost_tasks: losses.tasks.length,
    duplicate_turns: losses.turns.length,
    duplicate_effects: losses.effects.length,
    leftovers: losses.leftovers.length,
  }
  console.log(JSON.stringify(summary))
  return Object.values(losses).flat().length === 0 ? 0 : 1
}

function read(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      rounds: { type: 'string', default: '20' },
      tasks: { type: 'string', default: '20' },
      nodes: { type: 'string', default: '3' },
      only: { type: 'string', multiple: true },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    seed: numberOf('seed', values.seed, { min: 0, max: 2 ** 32 - 1 }),
    rounds: numberOf('rounds', values.rounds, bounds.rounds),
    tasks: numberOf('tasks', values.tasks, bounds.tasks),
    nodes: numberOf('nodes', values.nodes, bounds.nodes),
    json: values.json,
    ...(values.only && { only: values.only }),
  }
}

function numberOf(name: string, given: string, { min, max }: { min: number; max: number }): number {
  const value = Number(given)
  if (!Number.isInteger(value) || value < min || value > max)
    throw new Error(`--${name}: expected a whole number from ${min} to ${max}, came ${given}`)
  return value
}
