import type { TaskResult, Usage } from '@longhaul/client/contract'
import type { Progress } from './progress.ts'

/** What a session has used so far, as its row holds it. */
interface Used {
  readonly usage: Partial<Usage>
  readonly cost_usd: number
}

/** What came of a task, from its progress and what its session used. */
export function resultOf(progress: Progress, used: Used | undefined): TaskResult {
  const { checkResults, pushed, kept, earlier } = progress
  const passed = checkResults.every(({ outcome }) => outcome === 'passed')
  return {
    summary: summaryOf(progress),
    // Kept work is newer than what was pushed, and both are newer than a round before.
    branch: kept?.pushed?.branch ?? pushed?.branch ?? earlier?.branch ?? null,
    commits: progress.commits,
    pull_request_url: progress.pullRequestUrl ?? earlier?.pullRequestUrl ?? null,
    checks: {
      outcome: checkResults.length === 0 ? 'skipped' : passed ? 'passed' : 'failed',
      rounds: progress.rounds,
      results: checkResults,
    },
    usage: {
      input_tokens: used?.usage.input_tokens ?? 0,
      output_tokens: used?.usage.output_tokens ?? 0,
      cache_read_input_tokens: used?.usage.cache_read_input_tokens ?? 0,
      cache_creation_input_tokens: used?.usage.cache_creation_input_tokens ?? 0,
    },
    cost_usd: used?.cost_usd ?? 0,
  }
}

/** The agent's words, and for a deploy what the server ran. */
function summaryOf({ summary, commands }: Progress): string {
  if (commands.length === 0) return summary
  const ran = commands.map(({ command, outcome }) => `- ${command}: ${outcome}`).join('\n')
  return `${summary}\n\nCommands that were run:\n${ran}`.trim()
}
