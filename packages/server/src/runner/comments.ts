import { parseRepoUrl } from '@longhaul/client/contract'
import { presets } from '../tasks/presets.ts'
import type { Attempt } from './phase.ts'
import { gitHubOf, type Reaching } from './policy.ts'

/** Comments of one attempt, by tools and by gh together. */
const commentsMax = 10

/** An attempt, as far as GitHub is concerned. */
export type OnGitHub = Pick<Attempt, 'branch'> & {
  readonly deps: Reaching
  readonly task: Pick<Attempt['task'], 'order'>
  readonly writer: Pick<Attempt['writer'], 'write'>
}

/** Where the agent of an attempt may comment. */
export interface Comments {
  /** Why it may not comment there, as one sentence; null: it may now, and one of its comments is used. */
  refusalOf(number: number, signal: AbortSignal): Promise<string | null>
  made(comment: { readonly number: number; readonly url: string }): Promise<void>
}

/** It may comment on its own pull request, and on what its order names; so many times. */
export function commentsOf({ deps, task, writer, branch }: OnGitHub): Comments {
  const gitHub = gitHubOf(deps, task.order)
  let comments = 0
  return {
    async refusalOf(number, signal) {
      if (gitHub === null) return 'The repository of this task is not on GitHub.'
      if (!presets[task.order.type].publishes) return 'A task of this type publishes nothing.'
      const isOwn = async () =>
        (await gitHub.findPullRequest({ head: branch, signal }))?.number === number
      if (!isNamed(task.order, number) && !(await isOwn()))
        return `#${number} is neither this task's pull request nor named in its order.`
      if (comments >= commentsMax) return `At most ${commentsMax} comments are made.`
      comments += 1
      return null
    },
    async made({ number, url }) {
      await writer.write({ type: 'task.commented', number, url })
    },
  }
}

/** Whether the order's words name an issue or a pull request of its own repository. */
function isNamed(
  { instructions, repoUrl }: { readonly instructions: string; readonly repoUrl: string },
  number: number,
): boolean {
  // `#12`, but not `other/app#12`.
  if (new RegExp(`(?<![\\w./-])#${number}(?!\\d)`).test(instructions)) return true
  const { url } = parseRepoUrl(repoUrl)
  const links = instructions.matchAll(/(https?:\/\/\S+?)\/(?:issues|pull)\/(\d+)/g)
  return [...links].some(([, at, n]) => at === url && Number(n) === number)
}
