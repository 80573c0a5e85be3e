import { type CommandEnd, runCommand, tailCharsMax } from '../workspace/commands.ts'
import type { LimitHit } from './limit-notes.ts'
import { type Attempt, timeLeft } from './phase.ts'
import { raise, taskAlert } from './task-alert.ts'

/** A command ends this long before the task's time does: so the log says which one it was. */
const wordMs = 2000

/** How a command of the order or the plan ended, and the limit it failed of, if it did. */
export interface BoundedEnd extends CommandEnd {
  readonly hit: LimitHit | null
}

/** Runs a command of the order, or of the plan, in the task's remaining time. */
export async function runBounded(
  attempt: Attempt,
  command: string,
  o: { readonly home?: 'agent' | 'checks' } = {},
): Promise<BoundedEnd> {
  attempt.limitNotes.look() // What was hit before is not the command's.
  const end = await runCommand(attempt.workspace, command, {
    ...o,
    workdir: attempt.task.order.workdir,
    timeoutMs: Math.max(1, timeLeft(attempt) - wordMs),
  })
  if (end.result.outcome === 'timed_out') {
    const message = `${JSON.stringify(command.slice(0, 200))} ran until the task’s time was up, and was stopped.`
    raise({ ...attempt, ...attempt.deps }, taskAlert('command_hung', message))
  }
  const hit = attempt.limitNotes.look()
  if (hit === null || end.result.outcome === 'passed') return { ...end, hit: null }
  // Whoever reads the output, the agent among them, need not guess why it ends there.
  const note = `\n${hit.message}\n`
  return {
    output: `${end.output}${note}`,
    result: { ...end.result, output_tail: `${end.result.output_tail}${note}`.slice(-tailCharsMax) },
    hit,
  }
}
