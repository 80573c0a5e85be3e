import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Clock } from '../clock.ts'
import { bounded } from './body.ts'
import { withCredential } from './credential.ts'
import { authorizationOf, credentialOf, judgeGitRequest, targetOf } from './git-request.ts'
import { GitHubRefused } from './github-call.ts'
import { PktLines } from './pkt-lines.ts'
import type { GatewayPolicy } from './policy.ts'
import { AddressRefused, type Lookup, resolveJudged } from './resolve.ts'
import { openRequest } from './upstream.ts'

/** The git host, or the policy, will not tell this server; the message is a sentence. */
export class RemoteRefused extends Error {}

/** What the server needs to ask a session's git host something itself, with its own credential. */
export interface GitHost {
  readonly policy: Pick<GatewayPolicy, 'git' | 'allowPrivate'>
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly lookup?: Lookup
}

/**
 * Sends a request of git's smart HTTP protocol about the session's repository, as the gateway would
 * for the sandbox: the same judgement, the same credential. Resolves with an answer of status 200,
 * which the caller reads or destroys. Throws `RemoteRefused`, or an Error when the host did not
 * answer: it may later.
 */
export async function askGitHost(
  o: GitHost & {
    readonly method: 'GET' | 'POST'
    readonly path: string
    readonly headers?: OutgoingHttpHeaders
    readonly body?: Buffer
    /** Milliseconds without a byte. */
    readonly idleMs: number
  },
): Promise<IncomingMessage> {
  const { git, allowPrivate } = o.policy
  if (git === null) throw new RemoteRefused('This session has no repository.')
  const judged = judgeGitRequest({ url: `/git${git.path}/${o.path}`, method: o.method, git })
  if (judged.kind === 'refused') throw new RemoteRefused(judged.why)
  const address = await resolveJudged({ ...o, ...targetOf(git), allowPrivate }).catch((error) => {
    throw error instanceof AddressRefused ? new RemoteRefused(error.message) : error
  })
  const credential = credentialOf(git, judged)
  const answer = await withCredential({ ...o, credential, isRefused }, (secret) => {
    const sent = openRequest({
      ...o,
      url: judged.upstream,
      headers: { 'user-agent': 'git/longhaul', ...o.headers, ...authorizationOf(secret) },
      address,
    })
    sent.request.end(o.body)
    return sent.response
  }).catch((error: unknown) => {
    const isFinal = error instanceof GitHubRefused && !error.isPassing
    throw isFinal ? new RemoteRefused(error.message, { cause: error }) : error
  })
  const { statusCode = 0 } = answer
  if (statusCode === 200) return answer
  answer.destroy()
  const words = `${git.origin}${git.path} answered ${statusCode}`
  if (statusCode >= 500 || statusCode === 429) throw new Error(words)
  throw new RemoteRefused(`${words}.`)
}

function isRefused(answer: IncomingMessage): boolean {
  const refused = answer.statusCode === 401
  // It may be the one that is reported, so it is only read away.
  if (refused) answer.resume()
  return refused
}

/** The pkt-lines of an answer of at most `bytesMax`. Throws when they are not in git's form. */
export async function* linesOf(
  answer: IncomingMessage,
  bytesMax: number,
): AsyncGenerator<Buffer | 'flush'> {
  const lines = new PktLines()
  for await (const chunk of bounded(answer, bytesMax)) {
    lines.push(chunk)
    for (let line = lines.next(); line !== 'more'; line = lines.next()) {
      if (line === 'broken') throw new Error('the refs are not in the form git sends')
      yield line
    }
  }
}
