import type { TaskOrder } from '@longhaul/client/contract'

/** Characters of the instructions that go into a branch name or a title. */
const slugCharsMax = 40
const titleCharsMax = 72
/** The id's last characters: random ones, so two tasks of one millisecond differ. */
const shortIdChars = 8

/** The branch that carries a task's work: `agent/<type>-<slug>-<short id>`. */
export function branchOf(order: TaskOrder, taskId: string): string {
  const slug = firstLine(order.instructions)
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, slugCharsMax)
    .replace(/^-+|-+$/g, '')
  const parts = [order.type, slug, taskId.slice(-shortIdChars)].filter((part) => part !== '')
  return `agent/${parts.join('-')}`
}

/** The branch on which unfinished work is kept. */
export function keptBranchOf(branch: string): string {
  return `${branch}-wip`
}

/** One line that names the task, or a follow-up: a commit's subject, a pull request's title. */
export function titleOf({ instructions }: Pick<TaskOrder, 'instructions'>): string {
  const line = firstLine(instructions).trim()
  return line.length <= titleCharsMax ? line : `${line.slice(0, titleCharsMax - 1).trimEnd()}…`
}

function firstLine(text: string): string {
  return (
    text
      .split(/[\r\n]+/)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out.
      .map((line) => line.replace(/[\u0000-\u001f\u007f]/g, ' ').trim())
      .find((line) => line !== '') ?? 'Task'
  )
}
