import type { CheckResult, TaskOrder } from '@longhaul/client/contract'
import type { Progress } from './progress.ts'

/** Characters of a failed check's output that the agent is shown. */
const outputCharsMax = 6000

/** The first message of a task's conversation. */
export function orderPrompt({
  order,
  branch,
  checks,
  setupFailure,
}: {
  readonly order: TaskOrder
  readonly branch: string
  readonly checks: readonly string[]
  readonly setupFailure: CheckResult | null
}): string {
  return [
    order.instructions,
    '---',
    `The repository is checked out in the current directory, on the branch ${branch}.`,
    order.workdir === undefined ? '' : `The work is in its folder ${order.workdir}.`,
    checks.length === 0
      ? ''
      : `When you finish, these commands must succeed; they are run outside your control:\n${list(checks)}`,
    (order.commands ?? []).length === 0
      ? ''
      : `After that the server runs exactly these commands:\n${list(order.commands ?? [])}`,
    setupFailure === null
      ? ''
      : `Setting up the repository failed, and you may need to deal with it:\n${quote(setupFailure)}`,
    'You need not push or open a pull request: that is done for you when you finish. Nobody can answer questions while you work; decide, and say what you decided. End with a summary of what you did.',
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** Sent into the same conversation when the checks did not pass, or nothing of it may be pushed. */
export function roundFailedPrompt({ checkResults, objection, base }: Round): string {
  if (objection !== null) {
    return [
      `What you did may not be pushed: ${objection}`,
      `Bring .github/workflows back to how it is in the commit ${base?.commit} and finish again. If the order cannot be fulfilled without the change, say so: the people who ordered it can allow it in the settings of the repository.`,
    ].join('\n\n')
  }
  const failed = checkResults.filter(({ outcome }) => outcome !== 'passed')
  return [
    'The checks did not pass. Find the cause, fix it, and finish again.',
    ...failed.map(quote),
  ].join('\n\n')
}

/** A round of the server's own checks, as far as it is recorded. */
type Round = Pick<Progress, 'checkResults' | 'objection' | 'base'>

/** Whether the agent has something to mend. */
export function hasFailed({ checkResults, objection }: Omit<Round, 'base'>): boolean {
  return objection !== null || checkResults.some(({ outcome }) => outcome !== 'passed')
}

/** Sent before the message that reopened a task. */
export function followUpPrompt(o: FollowUp): string {
  const { branch, base, checks, start, setupFailure } = o
  return [
    'You had finished; this is the same conversation, which goes on with the message below. The workspace is a new clone: what was in no commit, and whatever ran, is gone.',
    startText[start](branch, base),
    start === 'patch' && o.isScrubbed
      ? 'It was kept without the secrets of the server that were in it: where one stood, it says [secret] now (find it with git grep -nF "[secret]"). Nothing works with that text in it, and no secret belongs into a repository: have it read from where it is set up, or say what is missing.'
      : '',
    checks.length === 0
      ? ''
      : `When you finish, these commands must succeed; they are run outside your control:\n${list(checks)}`,
    setupFailure === null
      ? ''
      : `Setting up the repository failed, and you may need to deal with it:\n${quote(setupFailure)}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

interface FollowUp {
  readonly branch: string
  /** The base branch's name. */
  readonly base: string
  readonly checks: readonly string[]
  readonly start: NonNullable<NonNullable<Progress['earlier']>['start']>
  /** Whether secrets were taken out of the patch that kept the work. */
  readonly isScrubbed: boolean
  readonly setupFailure: CheckResult | null
}

const startText: Readonly<Record<FollowUp['start'], (branch: string, base: string) => string>> = {
  branch: (branch) =>
    `Your work is checked out on the branch ${branch}, as the git host has it now; others may have added to it (git log).`,
  patch: (branch) =>
    `Your work, which could not be pushed, is there on the branch ${branch}, uncommitted.`,
  base: (branch, base) =>
    `You had changed nothing that was kept; the branch ${branch} starts anew from ${base}.`,
  merged: (branch, base) =>
    `Your pull request was merged; the branch ${branch} starts anew from ${base} as it is now.`,
  gone: (branch, base) =>
    `The branch with your work is no longer on the git host; ${branch} starts anew from ${base}.`,
}

/** Sent when the conversation goes on after the worker's process ended. */
export function continuePrompt({
  cutOff,
  rebuilt = null,
  round,
}: {
  /** The tool calls that had no result yet, in words. */
  readonly cutOff: readonly string[]
  readonly rebuilt?: Rebuilt | null
  /** What the agent was last asked to mend; it may not have seen it. */
  readonly round: Round
}): string {
  return [
    rebuilt === null
      ? 'You were stopped while you worked: the server restarted, or the task had to wait. This is the same conversation in the same workspace.'
      : rebuiltText(rebuilt),
    cutOff.length === 0
      ? ''
      : `Cut off was:\n${list(cutOff)}\nIt is not known how far it came: look before you repeat it.`,
    hasFailed(round) ? roundFailedPrompt(round) : '',
    'Look at the state of the workspace (git status) and go on where you were.',
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** A workspace that took the place of one that was lost. */
interface Rebuilt {
  /** Whether what was done up to some call is in it; else it is as it was cloned. */
  readonly hasWork: boolean
  /** Calls whose changes it may lack, in words. */
  readonly lost: readonly string[]
  readonly setupFailure: CheckResult | null
}

function rebuiltText({ hasWork, lost, setupFailure }: Rebuilt): string {
  return [
    'You were stopped while you worked: the machine with your workspace was lost. This is the same conversation, in a workspace that was made anew on another machine.',
    hasWork
      ? 'The repository is there as it was kept last: your commits and branches, and the files, committed or not. Gone is everything else: files that git ignores (what you installed or built), files outside of the repository, whatever ran.'
      : 'Nothing that you did could be kept: the repository is as it was when you began.',
    'The set-up commands have run again.',
    setupFailure === null ? '' : `They failed:\n${quote(setupFailure)}`,
    lost.length === 0
      ? ''
      : `What these calls changed may be missing, too; look before you rely on it:\n${list(lost)}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}

function quote({ command, outcome, exit_code, output_tail }: CheckResult): string {
  const end = outcome === 'timed_out' ? 'took too long' : `exited with ${exit_code ?? 'a signal'}`
  return `\`${command}\` ${end}. The end of its output:\n\n${output_tail.slice(-outputCharsMax)}`
}
