import { askGitHost, type GitHost, linesOf } from './git-host.ts'
import { withLimit } from './limits.ts'
import { flushPacket, pktLine } from './pkt-lines.ts'

/** What is asked for are a few refs, and what begins like them. */
const answerBytesMax = 16 * 1024 * 1024
const lookMsMax = 20_000

/** Refs of a repository as its host has them. */
export interface Refs {
  /** Commits by whole names, `HEAD` among them. */
  readonly tips: ReadonlyMap<string, string>
  /** The branch that HEAD names, `refs/heads/…`; null: none. */
  readonly head: string | null
}

/**
 * Asks the git host of a session for HEAD and a few refs, in one request: `ls-refs` of git's protocol
 * version 2 (gitprotocol-v2), which needs no git and no sandbox. Throws when the host refuses, does
 * not answer within 20 s, or does not speak version 2: then git itself finds out, and says why.
 */
export async function remoteRefs(
  o: GitHost & {
    /** Whole names. */
    readonly names: readonly string[]
  },
): Promise<Refs> {
  const limit = { clock: o.clock, ms: lookMsMax, signal: o.signal, what: 'looking at the refs' }
  return withLimit(limit, async (signal) => {
    const answer = await askGitHost({
      ...o,
      method: 'POST',
      path: 'git-upload-pack',
      headers: {
        'content-type': 'application/x-git-upload-pack-request',
        accept: 'application/x-git-upload-pack-result',
        'git-protocol': 'version=2',
      },
      body: requestOf(['HEAD', ...o.names]),
      idleMs: lookMsMax,
      signal,
    })
    try {
      return await read(linesOf(answer, answerBytesMax))
    } finally {
      answer.destroy()
    }
  })
}

function requestOf(names: readonly string[]): Buffer {
  const line = (text: string): Buffer => pktLine(Buffer.from(`${text}\n`))
  return Buffer.concat([
    line('command=ls-refs'),
    Buffer.from(delimiterPacket),
    line('symrefs'),
    ...names.map((name) => line(`ref-prefix ${name}`)),
    Buffer.from(flushPacket),
  ])
}

/** Stands between a command of version 2 and its arguments. */
const delimiterPacket = '0001'

async function read(lines: AsyncIterable<Buffer | 'flush'>): Promise<Refs> {
  const tips = new Map<string, string>()
  let head: string | null = null
  for await (const line of lines) {
    if (line === 'flush') return { tips, head }
    const [, id, name, target] = refLine.exec(line.toString()) ?? []
    if (id === undefined || name === undefined) throw new Error('that is no line of ls-refs')
    tips.set(name, id)
    if (name === 'HEAD') head = target ?? null
  }
  throw new Error('the refs ended too early')
}

/** `<id> <name>`, then attributes, of which this is the one that was asked for. */
const refLine = /^([0-9a-f]{40}|[0-9a-f]{64}) ([^ \n]+)(?: symref-target:([^ \n]+))?/
