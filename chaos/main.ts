/** The command line of what breaks this server on purpose; see `script/chaos`. */
import { breaking } from './breaking.ts'
import { power } from './power.ts'
import { walls } from './walls.ts'

/** Beside the suite that breaks a running system. Each takes the words after its name and resolves with the exit code. */
const suites: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = {
  power,
  walls,
}

const args = process.argv.slice(2)
const [first = ''] = args
const suite = first === '' || first.startsWith('-') ? breaking : suites[first]
if (suite === undefined) {
  console.error(`There is no suite "${first}"; there are: ${Object.keys(suites).join(', ')}.`)
  process.exitCode = 2
} else process.exitCode = await suite(suite === breaking ? args : args.slice(1))
