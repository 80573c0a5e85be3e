/** The command line of what breaks this server on purpose; see `script/chaos`. */
import { walls } from './walls.ts'

/** Each takes the words after its name and resolves with the exit code. */
const suites: Readonly<Record<string, (args: readonly string[]) => Promise<number>>> = { walls }

const [name = '', ...args] = process.argv.slice(2)
const suite = suites[name]
if (suite === undefined) {
  console.error(`There is no suite "${name}"; there are: ${Object.keys(suites).join(', ')}.`)
  process.exitCode = 2
} else process.exitCode = await suite(args)
