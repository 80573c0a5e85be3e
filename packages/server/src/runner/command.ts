import { type CommandEnd, runCommand, tailCharsMax } from '../workspace/commands.ts'
import type { LimitHit } from './limit-notes.ts'
import { type Attempt, timeLeft } from './phase.ts'

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
    timeoutMs: timeLeft(attempt),
  })
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
