import type { IncomingMessage } from 'node:http'
import { askGitHost, type GitHost, linesOf } from './git-host.ts'
import { withLimit } from './limits.ts'

/** The refs of a repository with a million branches; reading ends at the one that is asked for. */
const advertisementBytesMax = 128 * 1024 * 1024
/** One look, from the host's address to the ref's line. */
const lookMsMax = 60_000

/**
 * The commit that a ref has in the session's repository, by the word of the git host itself, which
 * the server asks with its own credential; null if the host has no such ref. What git inside a
 * sandbox says of a push depends on settings that the agent writes; this does not.
 *
 * Asks for the same list of refs that a push begins with, so the policy must allow pushes. Throws
 * `RemoteRefused`, or an Error when the host did not answer, or not in full: it may later.
 */
export async function remoteTip(
  o: GitHost & {
    /** The whole name, `refs/heads/…`. */
    readonly ref: string
  },
): Promise<string | null> {
  const limit = { clock: o.clock, ms: lookMsMax, signal: o.signal, what: 'looking at the branch' }
  return withLimit(limit, async (signal) => {
    const path = 'info/refs?service=git-receive-pack'
    const answer = await askGitHost({ ...o, method: 'GET', path, idleMs: lookMsMax, signal })
    try {
      return await findRef(answer, o.ref)
    } finally {
      answer.destroy()
    }
  })
}

/** The id before `ref` in the list: a header and its flush, a line for each ref, a flush. */
async function findRef(answer: IncomingMessage, ref: string): Promise<string | null> {
  let flushes = 0
  for await (const line of linesOf(answer, advertisementBytesMax)) {
    if (line === 'flush') flushes += 1
    if (flushes === 2) return null
    const [, id, name] = refLine.exec(line.toString()) ?? []
    if (id !== undefined && name === ref) return id
  }
  throw new Error('the refs ended too early')
}

/** The first one carries the capabilities behind a NUL. */
const refLine = /^([0-9a-f]{40}|[0-9a-f]{64}) ([^\0\n]+)/
