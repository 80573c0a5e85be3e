import { say, script, use, when } from '@longhaul/testing'
import { runBareSdk } from './bare-sdk.ts'
import type { Bench } from './entry.ts'
import { openPlace } from './place.ts'

/** Thirty seconds of tool work: shell commands, and reads and writes between them. */
const commandSeconds = 3
const commands = 10

const scenario = script(
  when(
    'Work for half a minute',
    ...Array.from({ length: commands }, (_, n) => [
      use('Bash', { command: `sleep ${commandSeconds}; echo ${n} | tee out-${n}.txt` }),
      use('Read', { file_path: `out-${n}.txt` }),
    ]).flat(),
    say('Done.'),
  ),
)

/** What the server, its sandbox and its gateway cost an agent while it works. */
export const agentPhase: Bench = {
  entries: [
    {
      name: 'agent-phase',
      what: 'an agent’s turn of 30 s of tool work through server and sandbox, against the bare SDK',
      unit: 'ratio',
      aim: { atMost: 1.15 },
    },
  ],
  async measure(signal) {
    await using place = await openPlace([scenario])
    const files = { 'README.md': 'A repository.\n' }
    const { url } = await place.github.createRepository({ owner: 'acme', name: 'work', files })
    const instructions = 'Work for half a minute.'
    const bareMs = await runBareSdk(place.model, { instructions, signal })
    const task = await place.order({ repoUrl: url, instructions })
    await place.completed(task, signal)
    const events = await place.events(task.session_id)
    const at = (type: string, which: 'find' | 'findLast'): number => {
      const found = events[which]((event) => event.type === type)
      if (found === undefined) throw new Error(`no event ${type}`)
      return Date.parse(found.processed_at)
    }
    // The turn as the log has it: from before the process is asked to its last word.
    const workMs = at('session.status_idle', 'findLast') - at('session.status_running', 'find')
    return { 'agent-phase': workMs / bareMs }
  },
}
