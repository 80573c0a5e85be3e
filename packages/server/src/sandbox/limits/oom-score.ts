import { writeFile } from 'node:fs/promises'
import { codeOf } from './cgroup-files.ts'

/**
 * Whom the kernel kills when memory runs out, from -1000 (never) to 1000 (first): a process's score
 * is its share of the limit in thousandths, plus this. Below the server's 0 there is everything in a
 * sandbox, so that a host without memory loses a session and not its database; and below an agent
 * its commands, so that a session without memory loses a command and not the conversation.
 */
const sandboxScore = 200
const shellScore = 700

/** Raises the score of a launch; what it starts has it too. Lowering takes a capability, this does not. */
export async function raiseScore(pid: number): Promise<void> {
  try {
    await writeFile(`/proc/${pid}/oom_score_adj`, String(sandboxScore))
  } catch (error) {
    // Gone already, or a host that lets nobody: an order of preference, not a wall.
    if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error))) throw error
  }
}

/** Where `shellStartScript` is inside. */
export const shellStartPath = '/run/longhaul/shell-start'

/** What a bash reads before its command when BASH_ENV names it: how an agent runs its commands. */
export const shellStartScript = `# Longhaul: what a shell starts gives way to the agent.
{ echo ${shellScore} >/proc/self/oom_score_adj; } 2>/dev/null || :
`
