import { renewChecksHome } from '../workspace/home.ts'
import { runBounded } from './command.ts'
import { type Attempt, failed, failedWithin, type PhaseEnd } from './phase.ts'

/**
 * Runs exactly the commands of the order, in their order, each at most once: a command that was cut
 * off by a crash is not repeated, since nobody can know how far it came. Orders without commands,
 * and every type but deploy, have nothing to run. The first one waits for no message: one that came
 * goes to the agent first, and afterwards none is taken.
 */
export async function runDeployCommands(attempt: Attempt): Promise<PhaseEnd | 'spoken_to'> {
  const { task, workspace, journal } = attempt
  if (journal.progress.next !== 'commands') return null
  const commands = task.order.commands ?? []
  if (commands.length > 0) {
    await journal.enter('publishing')
    await renewChecksHome(workspace)
  }
  for (const command of commands.slice(journal.progress.commands.length)) {
    if (journal.progress.commandStarted) {
      return failed(
        'checks_failed',
        `The deploy command ${JSON.stringify(command)} was cut off by a restart. How far it came is not known, so it was not run again.`,
      )
    }
    const started = [{ type: 'task.command_started', command }]
    if (!(await journal.writeUnlessSpokenTo({ commandStarted: true }, started))) return 'spoken_to'
    const { result, hit } = await runBounded(attempt, command, { home: 'checks' })
    workspace.signal.throwIfAborted()
    await journal.write(
      { commandStarted: false, commands: [...journal.progress.commands, result] },
      [{ type: 'task.command_finished', result }],
    )
    if (result.outcome !== 'passed') {
      const said = `The deploy command ${JSON.stringify(command)} ${result.outcome === 'timed_out' ? 'took too long' : `exited with ${result.exit_code ?? 'a signal'}`}; the commands after it were not run.`
      return failedWithin(hit, 'checks_failed', said)
    }
  }
  await journal.write({ next: 'publish' })
  return null
}
