import { posix } from 'node:path'
import type { CheckResult } from '@longhaul/client/contract'
import type { Workspace } from './git.ts'

/** Most bytes of one command's output that are kept: enough for a long log, not for a flood. */
const outputBytesMax = 2 * 1024 * 1024
/** Characters of the output's end that a result, an event and a message to the agent carry. */
export const tailCharsMax = 8192

/** A command's verdict, and its whole (bounded) output. */
export interface CommandEnd {
  readonly result: CheckResult
  readonly output: string
}

/**
 * Runs one shell command line of the order, or of the plan, in the workspace and inside the
 * sandbox: set-up, a check, a deploy command. The exit code alone decides.
 */
export async function runCommand(
  { sandbox, signal }: Workspace,
  command: string,
  {
    workdir,
    timeoutMs,
    home = 'agent',
  }: {
    readonly workdir: string | undefined
    readonly timeoutMs: number
    readonly home?: 'agent' | 'checks'
  },
): Promise<CommandEnd> {
  const end = await sandbox.exec(['bash', '-c', 'exec 2>&1; eval "$1"', 'bash', command], {
    cwd: posix.join(sandbox.paths.workspace, workdir ?? '.'),
    env: { CI: '1' },
    home,
    network: true,
    timeoutMs,
    outputBytesMax,
    signal,
  })
  const output = `${end.stdout}${end.stderr}`
  const outcome = end.timedOut ? 'timed_out' : end.exitCode === 0 ? 'passed' : 'failed'
  return {
    output,
    result: {
      command,
      outcome,
      exit_code: end.exitCode,
      duration_ms: Math.round(end.durationMs),
      output_tail: output.slice(-tailCharsMax),
    },
  }
}
