import { breakThings } from '../packages/server/test/breaking/breaking.ts'
import { readNumbers } from './numbers.ts'

/**
 * Breaks a running system again and again, as a seed says, and looks at what was lost: orders, events,
 * turns, effects, and whatever is left over. Prints one JSON object as its last line; the exit code is
 * 1 when anything was.
 */
export async function breaking(args: readonly string[]): Promise<number> {
  const { seed, rounds, tasks, nodes, only, json } = readNumbers(args, {
    rounds: { byDefault: 20, min: 1, max: 1000 },
    tasks: { byDefault: 20, min: 1, max: 200 },
    nodes: { byDefault: 3, min: 1, max: 8 },
  })
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
