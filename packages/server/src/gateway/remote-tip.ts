import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import { bounded } from './body.ts'
import { authorizationOf, judgeGitRequest, targetOf } from './git-request.ts'
import { withLimit } from './limits.ts'
import { PktLines } from './pkt-lines.ts'
import type { GatewayPolicy } from './policy.ts'
import { AddressRefused, type Lookup, resolveJudged } from './resolve.ts'
import { openRequest } from './upstream.ts'

/** The refs of a repository with a million branches; reading ends at the one that is asked for. */
const advertisementBytesMax = 128 * 1024 * 1024
/** One look, from the host's address to the ref's line. */
const lookMsMax = 60_000

/** The git host, or the policy, will not tell this server; the message is a sentence. */
export class RemoteRefused extends Error {}

/**
 * The commit that a ref has in the session's repository, by the word of the git host itself, which
 * the server asks with its own credential; null if the host has no such ref. What git inside a
 * sandbox says of a push depends on settings that the agent writes; this does not.
 *
 * Asks for the same list of refs that a push begins with, so the policy must allow pushes. Throws
 * `RemoteRefused`, or an Error when the host did not answer, or not in full: it may later.
 */
export async function remoteTip(o: {
  readonly policy: Pick<GatewayPolicy, 'git' | 'allowPrivate'>
  /** The whole name, `refs/heads/…`. */
  readonly ref: string
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly lookup?: Lookup
}): Promise<string | null> {
  const limit = { clock: o.clock, ms: lookMsMax, signal: o.signal, what: 'looking at the branch' }
  return withLimit(limit, async (signal) => {
    const answer = await open({ ...o, signal })
    try {
      return await findRef(answer, o.ref)
    } finally {
      answer.destroy()
    }
  })
}

async function open(o: Parameters<typeof remoteTip>[0]): Promise<IncomingMessage> {
  const { git, allowPrivate } = o.policy
  if (git === null) throw new RemoteRefused('This session has no repository.')
  const url = `/git${git.path}/info/refs?service=git-receive-pack`
  const judged = judgeGitRequest({ url, method: 'GET', git })
  if (judged.kind === 'refused') throw new RemoteRefused(judged.why)
  const address = await resolveJudged({ ...o, ...targetOf(git), allowPrivate }).catch((error) => {
    throw error instanceof AddressRefused ? new RemoteRefused(error.message) : error
  })
  const sent = openRequest({
    url: judged.upstream,
    method: 'GET',
    headers: { 'user-agent': 'git/longhaul', ...authorizationOf(git) },
    address,
    idleMs: lookMsMax,
    clock: o.clock,
    signal: o.signal,
  })
  sent.request.end()
  const answer = await sent.response
  const { statusCode = 0 } = answer
  if (statusCode === 200) return answer
  answer.destroy()
  const words = `${git.origin}${git.path} answered ${statusCode}`
  if (statusCode >= 500 || statusCode === 429) throw new Error(words)
  throw new RemoteRefused(`${words}.`)
}

/** The id before `ref` in the list: a header and its flush, a line for each ref, a flush. */
async function findRef(answer: IncomingMessage, ref: string): Promise<string | null> {
  let flushes = 0
  for await (const line of linesOf(answer)) {
    if (line === 'flush') flushes += 1
    if (flushes === 2) return null
    const [, id, name] = refLine.exec(line.toString()) ?? []
    if (id !== undefined && name === ref) return id
  }
  throw new Error('the refs ended too early')
}

/** The first one carries the capabilities behind a NUL. */
const refLine = /^([0-9a-f]{40}|[0-9a-f]{64}) ([^\0\n]+)/

async function* linesOf(answer: IncomingMessage): AsyncGenerator<Buffer | 'flush'> {
  const lines = new PktLines()
  for await (const chunk of bounded(answer, advertisementBytesMax)) {
    lines.push(chunk)
    for (let line = lines.next(); line !== 'more'; line = lines.next()) {
      if (line === 'broken') throw new Error('the refs are not in the form git sends')
      yield line
    }
  }
}
