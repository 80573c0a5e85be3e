import { cutPower } from '../packages/server/test/breaking/power-cut.ts'
import { readNumbers } from './numbers.ts'

/**
 * Cuts the power of one node with the embedded store, again and again, by going on with what had reached
 * its disk. Prints one JSON object as its last line; the exit code is 1 when anything that was
 * acknowledged is gone. Needs root, for a disk of its own.
 */
export async function power(args: readonly string[]): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error('the power suite mounts a disk, and needs root')
  const { seed, rounds, tasks, json } = readNumbers(args, {
    rounds: { byDefault: 5, min: 1, max: 100 },
    tasks: { byDefault: 4, min: 1, max: 50 },
  })
  const say = (line: string): void => {
    if (!json) console.log(line)
  }
  const losses = await cutPower({ seed, cuts: rounds, tasks, say })
  for (const [kind, lines] of Object.entries(losses))
    for (const line of lines) console.error(`${kind}: ${line}`)
  console.log(
    JSON.stringify({
      ...{ seed, rounds },
      lost_orders: losses.orders.length,
      lost_events: losses.events.length,
      lost_tasks: losses.tasks.length,
      duplicate_turns: losses.turns.length,
    }),
  )
  return Object.values(losses).flat().length === 0 ? 0 : 1
}
