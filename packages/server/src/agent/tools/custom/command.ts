import type { ExecResult } from '../../../sandbox/driver.ts'
import type { Argument, CommandTool } from '../../../tools-file/custom-tool.ts'
import { type Tool, type ToolContext, ToolRefused } from '../tool.ts'

/** Runs a program in the sandbox, in the workspace. */
export type RunCommand = (
  command: readonly string[],
  o: {
    readonly input: string
    readonly env: Readonly<Record<string, string>>
    readonly network: boolean
    readonly timeoutMs: number
    readonly outputBytesMax: number
    readonly signal: AbortSignal
  },
) => Promise<ExecResult>

/** Of each of the two streams; the agent is shown less still. */
const outputBytesMax = 64 * 1024
/** The command's own end, with what it printed, comes before that of the call. */
const endMsMax = 10_000
/** Linux takes at most this as one argument of a process; a NUL ends it. */
const argumentBytesMax = 128 * 1024 - 1
/** Linux takes a quarter of the stack's limit, 2 MiB by default, for all of them and the environment. */
const argumentsBytesMax = 1024 * 1024
/** Of each argument, beside its text: a NUL and a pointer. */
const argumentOverheadBytes = 9

/** A tool that the operator declared as a command. */
export function commandTool(declared: CommandTool, run: RunCommand): Tool {
  const { name, description, input, readOnly, timeoutMs } = declared
  return {
    ...{ name, description, input, readOnly },
    timeoutMs: timeoutMs + endMsMax,
    run: async (given, context) =>
      textOf(declared, await runOnce(declared, { given, context, run })),
  }
}

async function runOnce(
  declared: CommandTool,
  o: { readonly given: unknown; readonly context: ToolContext; readonly run: RunCommand },
): Promise<ExecResult> {
  const fields = declared.input.parse(o.given)
  const { name, env, network, timeoutMs } = declared
  const command = declared.argv.flatMap((argument) => argumentsOf(argument, fields))
  const bytes = command.reduce((sum, each) => sum + Buffer.byteLength(each), 0)
  const bytesMax = argumentsBytesMax - command.length * argumentOverheadBytes
  if (bytes > bytesMax)
    throw new ToolRefused(
      `The arguments of ${name} are too large together: expected at most ${Math.max(0, bytesMax)} bytes, came ${bytes}.`,
    )
  return o.run(command, {
    input: declared.stdin ? JSON.stringify(fields) : '',
    ...{ env, network, timeoutMs, outputBytesMax },
    signal: o.context.signal,
  })
}

/** A field is one argument as it is; a list is one each. Nothing is parsed again. */
function argumentsOf(argument: Argument, fields: Readonly<Record<string, unknown>>): string[] {
  if (argument.kind === 'text') return [argument.text]
  const value = fields[argument.name]
  const texts = (Array.isArray(value) ? value : [value]).map(String)
  for (const text of texts) {
    if (text.includes('\0') || Buffer.byteLength(text) > argumentBytesMax)
      throw new ToolRefused(`${argument.name} cannot be an argument: it has a NUL, or is too long.`)
  }
  return texts
}

function textOf({ name, timeoutMs }: CommandTool, result: ExecResult): string {
  const { exitCode, stdout, stderr, timedOut } = result
  const printed = [stdout, stderr].filter((text) => text.trim() !== '').join('\n')
  if (timedOut) throw new ToolRefused(`${name} took longer than ${timeoutMs / 1000} s.\n${printed}`)
  if (exitCode !== 0) throw new ToolRefused(`${name} ended with exit code ${exitCode}.\n${printed}`)
  return printed === '' ? 'It printed nothing.' : printed
}
