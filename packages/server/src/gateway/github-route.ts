import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import type { HostPort } from '../config.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { TooManyAnswers } from './answers.ts'
import { BodyTooLarge, bounded, NoRoom, readBody } from './body.ts'
import { askedOf, type RouteContext } from './context.ts'
import { withCredential } from './credential.ts'
import { GitHubRefused } from './github-call.ts'
import { type GitHubRequest, judgeGitHubRequest } from './github-scope.ts'
import { pickHeaders } from './headers.ts'
import { NotHeld, requireHeld } from './held.ts'
import { asksForMinted, withoutMinted } from './minted.ts'
import type { GitHubPolicy } from './policy.ts'
import { refuseGitHub } from './refuse.ts'
import { clientSignal, openRequest } from './upstream.ts'

/** The host that gh inside speaks to, whichever GitHub it is. */
export const gitHubApiHost = 'api.github.com'

/** A comment, or a query. */
const requestBytesMax = 256 * 1024
const answerBytesMax = 64 * 1024 * 1024
/** What GitHub says of a comment that it took. */
const commentBytesMax = 1024 * 1024
const idleMs = 60_000

const requestHeaders = ['accept', 'if-none-match', 'x-github-api-version']
const answerHeaders = ['cache-control', 'content-type', 'etag', 'last-modified']

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly github: GitHubPolicy
  readonly signal: AbortSignal
}

/**
 * GitHub's API as `gh` with `http_unix_socket` asks for it: plain HTTP with its host. Keeps it to the
 * session's one repository, adds the credential, and takes it, and what GitHub makes of it, out of
 * whatever comes back.
 */
export async function routeGitHub(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse },
): Promise<void> {
  const { request, response } = o
  const { github } = context.policy
  if (github === null)
    return deny(context, { ...o, why: 'This session has no repository on GitHub.' })
  const { method = '', url = '' } = request
  const judged = judgeGitHubRequest({ method, url, github })
  if (judged.kind === 'refused') return deny(context, { ...o, why: judged.why })
  const exchange = { ...o, github, signal: clientSignal(response, context.signal) }
  try {
    using held = context.answers.begin()
    void held
    const body = await bodyOf(context, { ...exchange, judged })
    if (body === null) return
    const details = judged.kind === 'graphql' ? { method } : { method, path: judged.path }
    context.record.allowed({ ...targetOf(github), route: 'github', details })
    const sent = await send(context, { ...exchange, judged, body })
    await answer(context, { ...exchange, judged, ...sent })
  } catch (error) {
    const { status, message } = refusedFor(error)
    if (status !== 413) context.log.info({ err: error }, 'a request to GitHub failed')
    context.record.refused({ ...targetOf(github), route: 'github', why: message })
    await refuseGitHub(response, { status, message })
  }
}

function refusedFor(error: unknown): { readonly status: number; readonly message: string } {
  if (error instanceof BodyTooLarge) return { status: 413, message: error.message }
  if (error instanceof TooManyAnswers) return { status: 429, message: error.message }
  const isBusy = error instanceof NotHeld || error instanceof NoRoom
  if (isBusy) return { status: 503, message: error.message }
  const isSaid = error instanceof GitHubRefused
  return { status: 502, message: isSaid ? error.message : 'GitHub cannot be reached.' }
}

const comment = z.object({ body: z.string().min(1).max(65_536) })
const query = z.object({
  query: z.string().max(requestBytesMax),
  variables: z.record(z.string(), z.unknown()).nullish(),
  operationName: z.string().nullish(),
})

/** The body to send, written anew from what was checked; null if the request was refused. */
async function bodyOf(
  context: RouteContext,
  o: Exchange & { judged: GitHubRequest },
): Promise<Buffer | null> {
  const { judged, request, signal } = o
  const scrubbed = (asked: unknown) => o.github.scrubber.valueInTurns(asked, context.answers.inTurn)
  if (judged.kind === 'read') return Buffer.alloc(0)
  using held = context.bodies.hold()
  const given = parseJson(await held.read(request, requestBytesMax))
  const parsed = (judged.kind === 'comment' ? comment : query).safeParse(given)
  const why = parsed.success
    ? judged.kind === 'comment'
      ? await context.hooks.mayComment(judged.number, signal)
      : problemOf(given)
    : 'The body of the request is not what this path takes.'
  if (why === null) return Buffer.from(JSON.stringify(await scrubbed(parsed.data)))
  await deny(context, { ...o, why })
  return null
}

/** Whatever a document calls its operations, one that writes has one of these words. */
function problemOf(given: unknown): string | null {
  const { query: document } = query.parse(given)
  if (/mutation|subscription/.test(document))
    return 'GraphQL is for reading here; what is written goes through the REST API.'
  return asksForMinted(document)
    ? 'tempCloneToken is a credential, and none comes into this session; git clone and git fetch work without one.'
    : null
}

interface Sent {
  readonly from: IncomingMessage
  readonly credential: string | null
}

async function send(
  context: RouteContext,
  o: Exchange & { judged: GitHubRequest; body: Buffer },
): Promise<Sent> {
  const { request, github, judged, body, signal } = o
  const { credential } = github
  const isRefused = ({ from }: Sent): boolean => {
    const refused = from.statusCode === 401
    if (refused) from.resume()
    return refused
  }
  return withCredential({ credential, signal, isRefused }, async (secret) => {
    if (judged.kind === 'comment') await requireHeld(context, signal)
    const sent = openRequest({
      url: upstreamOf(github, judged),
      method: request.method ?? 'GET',
      headers: {
        ...pickHeaders(request.headers, requestHeaders),
        'user-agent': 'longhaul',
        'accept-encoding': 'identity',
        ...(body.length > 0 && {
          'content-type': 'application/json',
          'content-length': String(body.length),
        }),
        ...(secret !== null && { authorization: `Bearer ${secret}` }),
      },
      address: null,
      idleMs,
      clock: context.clock,
      signal,
    })
    sent.request.end(body)
    return { from: await sent.response, credential: secret }
  })
}

async function answer(
  context: RouteContext,
  o: Exchange & Sent & { judged: GitHubRequest },
): Promise<void> {
  const { response, judged, from, credential } = o
  const status = from.statusCode ?? 502
  const why = refusalOf(status, from.headers['content-encoding'])
  if (why !== null) {
    from.destroy()
    return refuseGitHub(response, { status: 502, message: why })
  }
  const scrubber = new Scrubber(credential === null || credential.length < 8 ? [] : [credential])
  const headers = { ...answerHeadersOf(o), ...linkOf(o) }
  const passed = (chunks: AsyncIterable<Buffer>) =>
    pipeline(withoutMinted(scrubber.stream(chunks, context.answers.inTurn)), response)
  if (judged.kind === 'comment' && status === 201) {
    const made = await readBody(from, commentBytesMax)
    const { html_url: url = '' } = madeComment.safeParse(parseJson(made)).data ?? {}
    context.hooks.onCommented({ number: judged.number, url })
    response.writeHead(status, headers)
    return passed(Readable.from([made]))
  }
  response.writeHead(status, headers)
  await passed(bounded(from, answerBytesMax))
}

const madeComment = z.object({ html_url: z.string().max(2_048) })

function answerHeadersOf({ from }: { from: IncomingMessage }): OutgoingHttpHeaders {
  const limits = Object.keys(from.headers).filter((name) => name.startsWith('x-ratelimit-'))
  return pickHeaders(from.headers, [...answerHeaders, ...limits])
}

/** Further pages, in the spelling that this route takes: GitHub names repositories by number there. */
function linkOf({
  from,
  judged,
}: {
  from: IncomingMessage
  judged: GitHubRequest
}): OutgoingHttpHeaders {
  const { link } = from.headers
  if (typeof link !== 'string' || judged.kind !== 'read') return {}
  const [path] = judged.path.split('?')
  return {
    link: link.replaceAll(/<([^>]*)>/g, (_whole, url: string) => {
      const search = URL.parse(url)?.search ?? ''
      return `<https://${gitHubApiHost}${path}${search}>`
    }),
  }
}

function refusalOf(status: number, encoding: string | undefined): string | null {
  if (status === 401) return 'GitHub does not accept the credential that the server has.'
  if (status >= 300 && status < 400 && status !== 304)
    return `GitHub answered ${status}: what was asked for is elsewhere, and redirects are not followed.`
  return (encoding ?? 'identity') === 'identity'
    ? null
    : 'GitHub used an encoding nobody asked for.'
}

/** The API of a GitHub of one's own is at `/api/v3`, and its GraphQL beside that. */
function upstreamOf({ apiUrl }: GitHubPolicy, judged: GitHubRequest): URL {
  const base = apiUrl.pathname.replace(/\/+$/, '')
  const path =
    judged.kind === 'graphql' ? `${base.replace(/\/v3$/, '')}/graphql` : `${base}${judged.path}`
  return new URL(path, apiUrl)
}

function targetOf({ apiUrl: { hostname: host, port, protocol } }: GitHubPolicy): HostPort {
  return { host, port: Number(port || (protocol === 'http:' ? 80 : 443)) }
}

async function deny(
  context: RouteContext,
  o: { request: IncomingMessage; response: ServerResponse; why: string },
): Promise<void> {
  const { github } = context.policy
  const target = github === null ? { host: gitHubApiHost, port: 443 } : targetOf(github)
  context.record.denied({ ...target, route: 'github', why: o.why }, { asked: askedOf(o.request) })
  await refuseGitHub(o.response, { status: 403, message: o.why })
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
