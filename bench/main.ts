/** The command line of the benchmark; see `script/bench`. */
import { parseArgs } from 'node:util'
import { agentPhase } from './agent-phase.ts'
import { clone } from './clone.ts'
import { type Bench, type Entry, holds } from './entry.ts'
import { events } from './events.ts'
import { gateway } from './gateway.ts'
import { memory } from './memory.ts'
import { sandbox } from './sandbox.ts'
import { start } from './start.ts'

const benches: readonly Bench[] = [memory, start, sandbox, events, clone, gateway, agentPhase]
/** The whole of it takes three to four minutes. */
const benchMsMax = 20 * 60_000

const known = benches.flatMap(({ entries }) => entries)

await main()

async function main(): Promise<void> {
  const { positionals, json } = read()
  const chosen = benches
    .map((bench) => ({ bench, wanted: bench.entries.filter(({ name }) => isWanted(name)) }))
    .filter(({ wanted }) => wanted.length > 0)
  function isWanted(name: string): boolean {
    return positionals.length === 0 || positionals.includes(name)
  }
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stopped.abort(new Error(`stopped by ${signal}`)))
  const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(benchMsMax)])
  for (const { bench, wanted } of chosen) {
    const figures = await bench.measure(signal)
    for (const entry of wanted) report(entry, figures[entry.name] ?? Number.NaN, json)
  }
}

function read(): { positionals: string[]; json: boolean } {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false } },
  })
  const unknown = positionals.filter((name) => !known.some((entry) => entry.name === name))
  if (unknown.length > 0) {
    console.error(`There is no bench ${unknown.join(', ')}; there are:`)
    for (const { name, what } of known) console.error(`  ${name.padEnd(22)} ${what}`)
    process.exit(2)
  }
  return { positionals, json: values.json }
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
