/** The command line of the benchmark; see `script/bench`. */
import { parseArgs } from 'node:util'
import { agentPhase } from './agent-phase.ts'
import { clone } from './clone.ts'
import { type Bench, type Entry, holds } from './entry.ts'
import { events } from './events.ts'
import { gateway } from './gateway.ts'
import { largeBodies } from './large-bodies.ts'
import { memory } from './memory.ts'
import { severalNodes } from './nodes.ts'
import { parked } from './parked.ts'
import { sandbox } from './sandbox.ts'
import { scale } from './scale.ts'
import { scrubbing } from './scrubbing.ts'
import { start } from './start.ts'

const benches: readonly Bench[] = [
  ...[memory, start, sandbox, events, clone, gateway, largeBodies, agentPhase, scrubbing],
  ...[parked, scale, severalNodes],
]
/** What is always measured takes three to four minutes; the rest, ten each. */
const benchMsMax = 40 * 60_000
const sizeMin = 0.001

const known = benches.flatMap(({ entries }) => entries)

await main()

async function main(): Promise<void> {
  const { positionals, json, size } = read()
  const chosen = benches
    .map((bench) => ({ bench, wanted: bench.entries.filter((entry) => isWanted(entry, bench)) }))
    .filter(({ wanted }) => wanted.length > 0)
  function isWanted({ name }: Entry, { onRequest = false }: Bench): boolean {
    return positionals.length === 0 ? !onRequest : positionals.some((word) => begins(name, word))
  }
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stopped.abort(new Error(`stopped by ${signal}`)))
  const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(benchMsMax)])
  for (const { bench, wanted } of chosen) {
    const figures = await bench.measure(signal, size)
    for (const entry of wanted) report(entry, figures[entry.name] ?? Number.NaN, json)
  }
}

/** Its name, or the first words of it: `scale` is all that begins with it. */
function begins(name: string, word: string): boolean {
  return name === word || name.startsWith(`${word}-`)
}

function read(): { positionals: string[]; json: boolean; size: number } {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      size: { type: 'string', default: '1' },
    },
  })
  const size = Number(values.size)
  if (!(size >= sizeMin && size <= 1)) {
    console.error(`--size is a share from ${sizeMin} to 1, not ${values.size}.`)
    process.exit(2)
  }
  const unknown = positionals.filter((word) => !known.some(({ name }) => begins(name, word)))
  if (unknown.length > 0) {
    console.error(`There is no bench ${unknown.join(', ')}; there are:`)
    for (const { name, what } of known) console.error(`  ${name.padEnd(22)} ${what}`)
    process.exit(2)
  }
  return { positionals, json: values.json, size }
}

function report(entry: Entry, value: number, json: boolean): void {
  const ok = holds(entry, value)
  if (!ok) process.exitCode = 1
  const aim = 'atMost' in entry.aim ? `≤ ${entry.aim.atMost}` : `≥ ${entry.aim.atLeast}`
  const { name, unit, what } = entry
  const rounded = Number(value.toPrecision(4))
  if (json) console.log(JSON.stringify({ name, value: rounded, unit, aim, holds: ok }))
  else
    console.log(
      `${ok ? 'holds' : 'FAILS'}  ${name.padEnd(22)} ${String(rounded).padStart(8)} ${unit}, aim ${aim}: ${what}`,
    )
}
