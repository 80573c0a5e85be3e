import type { TaskOrder, TaskResult } from '@longhaul/client/contract'

/** GitHub refuses a body over 65,536 characters; the rest is room for the last section. */
const bodyCharsMax = 60_000

/**
 * The body of the pull request: what was ordered, what was done, what the checks said, which tests
 * and scripts the agent changed (a reviewer looks there first), and what it cost.
 */
export function pullRequestBody(o: {
  readonly order: TaskOrder
  readonly taskId: string
  readonly result: TaskResult
  readonly changedFiles: readonly string[]
}): string {
  const { result } = o
  const watched = o.changedFiles.filter((file) => isWatched(file))
  return [
    section('Summary', result.summary || 'The agent left no summary.'),
    section('Checks', checksText(result)),
    watched.length === 0
      ? ''
      : section(
          'Tests and scripts that were changed',
          watched.map((file) => `- ${inlineCode(file)}`).join('\n'),
        ),
    section(
      'About',
      `Task \`${o.taskId}\` (${o.order.type}), ${result.commits.length} commit(s), about $${result.cost_usd.toFixed(2)}.`,
    ),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .slice(0, bodyCharsMax)
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

/** Files whose change can make a check pass without the code being right. */
function isWatched(file: string): boolean {
  return (
    /(^|[/._-])(tests?|specs?|__tests__|conftest)([/._-]|$)/i.test(file) ||
    /(^|\/)(package\.json|Makefile|tox\.ini|pytest\.ini|pyproject\.toml|Cargo\.toml)$/.test(file) ||
    /^\.github\/|\.(sh|ya?ml)$/.test(file)
  )
}

function section(title: string, text: string): string {
  return `### ${title}\n\n${text}`
}

/** Untrusted text as Markdown code: it can neither close the span nor start a line. */
function inlineCode(text: string): string {
  const line = text.replace(/[\r\n]+/g, ' ').slice(0, 300)
  const fence = '`'.repeat(Math.max(0, ...(line.match(/`+/g) ?? []).map((run) => run.length)) + 1)
  return `${fence} ${line} ${fence}`
}
