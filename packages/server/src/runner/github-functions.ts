import type { GitHubFunctions } from '../agent/tools/gh.ts'
import { ToolRefused } from '../agent/tools/tool.ts'
import type { OnGitHub } from './comments.ts'
import type { Attempt } from './phase.ts'
import { type Guarding, gitHubOf, gitHubTalkOf } from './policy.ts'
import { told } from './tool-functions.ts'

type Asking = Pick<OnGitHub, 'branch' | 'deps' | 'task'> &
  Pick<Attempt, 'comments'> & { readonly hold: Guarding }

/** What the gh tools do in this attempt; null where its repository is a plain git remote. */
export function gitHubFunctions(attempt: Asking): GitHubFunctions | null {
  const { deps, task, branch, comments, hold } = attempt
  const gitHub = gitHubOf(deps, task.order)
  const talk = gitHubTalkOf(deps, task.order, hold)
  if (gitHub === null || talk === null) return null
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
      const why = await told(comments.refusalOf(number, signal))
      if (why !== null) throw new ToolRefused(why)
      const url = await told(talk.comment({ number, body }, signal))
      await comments.made({ number, url })
      return url
    },
  }
}
