import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BodyTooLarge, bounded } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import { withCredential } from './credential.ts'
import type { WayOut } from './exchange-record.ts'
import { type InspectedPush, inspectPush } from './git-push.ts'
import {
  authorizationOf,
  credentialOf,
  type GitRequest,
  judgeGitRequest,
  targetOf,
} from './git-request.ts'
import { GitHubRefused } from './github-call.ts'
import { pickHeaders } from './headers.ts'
import { NotHeld, requireHeld } from './held.ts'
import { TooManyLookups } from './lookups.ts'
import type { GitPolicy } from './policy.ts'
import { refuse } from './refuse.ts'
import { type Address, AddressRefused, resolveJudged } from './resolve.ts'
import { clientSignal, openRequest, relay } from './upstream.ts'

/** A pack with a repository's history fits; a disk that is being copied out does not. */
const pushBytesDefault = 512 * 1024 * 1024
/** What a fetch says it wants and has. */
const wantsBytesMax = 32 * 1024 * 1024
/** What it is answered: a repository beyond this is no disk of a session's to hold. */
const fetchBytesDefault = 8 * 1024 * 1024 * 1024
/** A large repository may be counted and packed for minutes before the first byte. */
const idleMs = 5 * 60_000

const requestHeaders = ['accept', 'accept-encoding', 'content-type', 'git-protocol', 'user-agent']
const responseHeaders = ['cache-control', 'content-encoding', 'content-type', 'expires', 'pragma']

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

/**
 * The `/git` route: smart HTTP of the session's one repository. Judges the host's address, adds
 * the credential, streams both ways; a push is inspected before the first byte of it leaves.
 */
export async function routeGit(context: RouteContext, o: Exchange): Promise<void> {
  const { git } = context.policy
  if (git === null) return deny(context, { ...o, sentence: 'This session has no repository.' })
  const judged = judgeGitRequest({ url: o.request.url ?? '', method: o.request.method ?? '', git })
  if (judged.kind === 'refused') return deny(context, { ...o, sentence: judged.why })
  const signal = clientSignal(o.response, context.signal)
  const address = await addressOf(context, { ...o, git, signal })
  if (address === null) return
  const body = await bodyOf(context, { ...o, git, judged, signal })
  if (body !== null) await exchange(context, { ...o, git, judged, address, body, signal })
}

async function addressOf(
  context: RouteContext,
  o: Exchange & { git: GitPolicy; signal: AbortSignal },
): Promise<Address | null> {
  const { allowPrivate } = context.policy
  const target = targetOf(o.git)
  try {
    return await resolveJudged({
      ...target,
      lookup: context.lookup,
      allowPrivate,
      clock: context.clock,
      signal: o.signal,
    })
  } catch (error) {
    if (error instanceof AddressRefused) await deny(context, { ...o, sentence: error.message })
    else {
      const isMany = error instanceof TooManyLookups
      if (!isMany) context.log.warn({ err: error, ...target }, 'the git host has no address')
      const why = isMany ? error.message : `${target.host} cannot be resolved.`
      context.record.refused({ ...target, route: 'git', why })
      await refuse(o.response, { status: isMany ? 429 : 502, sentence: why })
    }
    return null
  }
}

/** The body to send, inspected if it is a push; null if the push was refused. */
async function bodyOf(
  context: RouteContext,
  o: Exchange & { git: GitPolicy; judged: GitRequest; signal: AbortSignal },
): Promise<Body | null> {
  if (o.judged.kind === 'advertise') return { chunks: null, headers: {} }
  if (o.judged.kind === 'upload')
    return {
      chunks: bounded(o.request, wantsBytesMax),
      headers: pickHeaders(o.request.headers, ['content-encoding', 'content-length']),
    }
  const { request, git } = o
  const { mayPush } = context.hooks
  const push = await inspectPush({
    ...{ request, refs: git.pushRefs, mayPush, signal: o.signal },
    bytesMax: git.pushBytesMax ?? pushBytesDefault,
  }).catch((error: unknown): InspectedPush => {
    context.log.warn({ err: error }, 'whether a push is allowed could not be decided')
    return { kind: 'broken', status: 503, why: 'It cannot be told now whether this may be pushed.' }
  })
  if (push.kind === 'allowed') return push
  if (push.kind === 'broken') {
    await deny(context, { ...o, status: push.status, sentence: push.why })
    return null
  }
  report(context, push.why, { refs: push.refs })
  o.response.writeHead(200, { 'content-type': 'application/x-git-receive-pack-result' })
  o.response.end(push.report)
  return null
}

interface Body {
  readonly chunks: AsyncIterable<Buffer> | null
  readonly headers: OutgoingHttpHeaders
  /** Of a push. */
  readonly refs?: readonly string[]
}

async function exchange(
  context: RouteContext,
  o: Exchange & {
    git: GitPolicy
    judged: GitRequest
    address: Address
    body: Body
    signal: AbortSignal
  },
): Promise<void> {
  const { kind, repository } = o.judged
  const { refs } = o.body
  const details = { kind, repository, ...(refs !== undefined && { refs }) }
  context.record.allowed({ ...targetOf(o.git), route: 'git', details })
  const sending: Sending = { upload: null }
  try {
    await answer(o, await send(context, o, sending))
  } catch (error) {
    await failed(context, { ...o, error, sending })
  }
}

/** How the upload ended, once there is one: null, or its error. */
interface Sending {
  upload: Promise<unknown> | null
}

/** A request without a body is sent once more when its credential is refused and there is another. */
function send(
  context: RouteContext,
  o: Parameters<typeof exchange>[1],
  sending: Sending,
): Promise<IncomingMessage> {
  const { chunks, headers } = o.body
  const isRefused = (from: IncomingMessage): boolean => {
    const refused = chunks === null && from.statusCode === 401
    if (refused) from.resume()
    return refused
  }
  const credential = credentialOf(o.git, o.judged)
  return withCredential({ credential, signal: o.signal, isRefused }, async (secret) => {
    if (chunks !== null && o.judged.kind === 'push') await requireHeldFor(chunks, context, o.signal)
    const sent = openRequest({
      url: o.judged.upstream,
      method: o.request.method ?? 'GET',
      headers: {
        ...pickHeaders(o.request.headers, requestHeaders),
        ...headers,
        ...authorizationOf(secret),
      },
      address: o.address,
      idleMs,
      clock: context.clock,
      signal: o.signal,
    })
    if (chunks === null) sent.request.end()
    // A failed upload ends the request, and with it the answer; here only its cause is kept.
    else
      sending.upload = pipeline(chunks, sent.request).then(
        () => null,
        (error: unknown) => error,
      )
    return sent.response
  })
}

/** After every other wait, the one for a token included. Of a push that stays here the rest is read. */
async function requireHeldFor(
  chunks: AsyncIterable<Buffer>,
  context: RouteContext,
  signal: AbortSignal,
): Promise<void> {
  try {
    await requireHeld(context, signal)
  } catch (error) {
    for await (const _ of chunks);
    throw error
  }
}

async function failed(
  context: RouteContext,
  o: Exchange & { git: GitPolicy; error: unknown; sending: Sending },
): Promise<void> {
  const { error, sending } = o
  const uploaded = sending.upload === null ? null : await Promise.race([sending.upload, soon()])
  const cause = error instanceof BodyTooLarge ? error : uploaded
  if (cause instanceof BodyTooLarge) {
    report(context, cause.message)
    return refuse(o.response, { status: 413, sentence: cause.message })
  }
  context.log.info({ err: error }, 'a git request failed')
  // Only what GitHub says for good: git takes an error of the server's for one that passes.
  const isFinal = error instanceof GitHubRefused && !error.isPassing
  const isSaid = error instanceof GitHubRefused || error instanceof NotHeld
  const sentence = isSaid ? error.message : `${o.git.origin} cannot be reached.`
  context.record.refused({ ...targetOf(o.git), route: 'git', why: sentence })
  const status = error instanceof NotHeld ? 503 : 502
  await refuse(o.response, { status: isFinal ? 403 : status, sentence })
}

async function answer(
  o: Exchange & { git: GitPolicy },
  from: IncomingMessage & Readable,
): Promise<void> {
  const status = from.statusCode ?? 502
  if (status === 401 || (status >= 300 && status < 400)) {
    from.destroy()
    const sentence =
      status === 401
        ? `${o.git.origin} refused the credential the server has for ${o.git.path}.`
        : `${o.git.origin}${o.git.path} answered ${status}: it moved, and redirects are not followed.`
    return refuse(o.response, { status: status === 401 ? 403 : 502, sentence })
  }
  const bytesMax = o.git.fetchBytesMax ?? fetchBytesDefault
  let bytes = 0
  await relay({
    ...{ from, to: o.response, headers: pickHeaders(from.headers, responseHeaders) },
    onChunk(chunk) {
      bytes += chunk.length
      if (bytes > bytesMax) throw new BodyTooLarge(bytesMax)
    },
  })
}

/** One turn of the event loop: enough for an upload to report why it failed. */
function soon(): Promise<null> {
  return new Promise((resolve) => {
    setImmediate(resolve, null)
  })
}

async function deny(
  context: RouteContext,
  o: Exchange & { sentence: string; status?: number },
): Promise<void> {
  report(context, o.sentence, { asked: askedOf(o.request) })
  await refuse(o.response, { status: o.status ?? 403, sentence: o.sentence })
}

function report(context: RouteContext, why: string, details: WayOut['details'] = {}): void {
  const { git } = context.policy
  const target = git === null ? { host: 'git', port: 443 } : targetOf(git)
  context.record.denied({ ...target, route: 'git', why }, details)
}
