import { parseRepoUrl } from '@longhaul/client/contract'
import type { GitHubFunctions } from '../agent/tools/gh.ts'
import { ToolRefused } from '../agent/tools/tool.ts'
import type { Attempt } from './phase.ts'
import { gitHubOf, gitHubTalkOf, type Reaching } from './policy.ts'
import { told } from './tool-functions.ts'

/** Comments of one agent process. */
const commentsMax = 10

/** An attempt, as far as GitHub is concerned. */
type Asking = Pick<Attempt, 'branch'> & {
  readonly deps: Reaching
  readonly task: Pick<Attempt['task'], 'order'>
  readonly writer: Pick<Attempt['writer'], 'write'>
}

/** What the gh tools do in this attempt; null where its repository is a plain git remote. */
export function gitHubFunctions(attempt: Asking): GitHubFunctions | null {
  const { deps, task, writer, branch } = attempt
  const gitHub = gitHubOf(deps, task.order)
  const talk = gitHubTalkOf(deps, task.order)
  if (gitHub === null || talk === null) return null
  let comments = 0
  const own = (signal: AbortSignal) => told(gitHub.findPullRequest({ head: branch, signal }))
  return {
    pullRequests: (o, signal) => told(talk.pullRequests(o, signal)),
    issues: (o, signal) => told(talk.issues(o, signal)),
    issue: (number, signal) => told(talk.issue(number, signal)),
    async pullRequest(given, signal) {
      const number = given ?? (await own(signal))?.number
      if (number === undefined) throw new ToolRefused('This task has no pull request yet.')
      return told(talk.pullRequest(number, signal))
    },
    async checks(number, signal) {
      if (number === undefined) return told(talk.checks(branch, signal))
      const { head } = await told(talk.pullRequest(number, signal))
      return told(talk.checks(head.sha, signal))
    },
    async comment({ number, body }, signal) {
      if (!isNamed(task.order, number) && (await own(signal))?.number !== number)
        throw new ToolRefused(
          `#${number} is neither this task's pull request nor named in its order.`,
        )
      if (comments >= commentsMax)
        throw new ToolRefused(`At most ${commentsMax} comments are made.`)
      comments += 1
      const url = await told(talk.comment({ number, body }, signal))
      await writer.write({ type: 'task.commented', number, url })
      return url
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
