import type { TaskOrder, TaskResult } from '@longhaul/client/contract'
import { inlineCode } from './markdown.ts'

/** Files that are listed; the rest is counted. */
const filesMax = 100
/** Characters of the agent's own words. All sections together stay below GitHub's 65,536. */
const summaryCharsMax = 20_000

/**
 * The body of the pull request: what the checks said, which tests and scripts the agent changed (a
 * reviewer looks there first), what it cost, where the task is, and what was done in the agent's own
 * words. These come last: whatever they hold, they can hide nothing of what the server says.
 */
export function pullRequestBody(o: {
  readonly order: TaskOrder
  readonly taskId: string
  readonly result: TaskResult
  /** Every name: which of them matter is decided here. */
  readonly changedFiles: readonly string[]
  /** Where people reach this server. */
  readonly publicUrl: URL
}): string {
  return [
    section('Checks', checksText(o.result)),
    section('Tests and scripts that were changed', watchedText(o.changedFiles)),
    section('About', aboutText(o)),
    section('Summary', summaryText(o.result)),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function checksText({ checks }: TaskResult): string {
  if (checks.outcome === 'skipped') {
    return 'Skipped: the order names no checks and the repository shows none.'
  }
  const rows = checks.results.map(
    ({ command, outcome, duration_ms }) =>
      `- ${outcome === 'passed' ? '✅' : '❌'} ${inlineCode(command)}, ${(duration_ms / 1000).toFixed(1)} s`,
  )
  return [...rows, `\nRun by the server after the agent finished (round ${checks.rounds}).`].join(
    '\n',
  )
}

function watchedText(changedFiles: readonly string[]): string {
  const watched = changedFiles.filter((file) => isWatched(file))
  const rows = watched.slice(0, filesMax).map((file) => `- ${inlineCode(file)}`)
  const more = watched.length - rows.length
  return [...rows, ...(more > 0 ? [`- and ${more} more`] : [])].join('\n')
}

function aboutText({ order, taskId, result, publicUrl }: Parameters<typeof pullRequestBody>[0]) {
  const task = `[${taskId}](${publicUrl.href.replace(/\/$/, '')}/v1/tasks/${taskId})`
  const { commits, cost_usd: costUsd } = result
  return `Task ${task} (${order.type}), ${commits.length} commit(s), about $${costUsd.toFixed(2)}.`
}

function summaryText({ summary }: TaskResult): string {
  if (summary.trim() === '') return 'The agent left no summary.'
  if (summary.length <= summaryCharsMax) return summary
  return `${summary.slice(0, summaryCharsMax).toWellFormed()}…`
}

/** Files whose change can make a check pass without the code being right. */
const watchedFiles: readonly RegExp[] = [
  // Tests by their directory or name: `tests/a.py`, `a.test.ts`, `a_test.go`, `ATest.java`.
  /(^|[/._-])(tests?|specs?|__tests__|conftest)([/._-]|$)/i,
  /(Tests?|Spec)\.\w+$/,
  // What runs them.
  /(^|\/)(package\.json|makefile|tox\.ini|pytest\.ini|pyproject\.toml|setup\.cfg|cargo\.toml)$/i,
  /(^|\/)(jest|vitest|karma|playwright|cypress)\.config\.\w+$/,
  // Scripts and pipelines.
  /(^|\/)(scripts?|bin|\.github)\/|\.(sh|bash|ya?ml)$/,
]

function isWatched(file: string): boolean {
  return watchedFiles.some((pattern) => pattern.test(file))
}

function section(title: string, text: string): string {
  return text === '' ? '' : `### ${title}\n\n${text}`
}
