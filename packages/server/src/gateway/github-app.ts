import { type KeyObject, sign } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Scrubber } from '../scrub/scrubber.ts'
import { createCall, GitHubRefused, withRetries } from './github-call.ts'
import { withLimit } from './limits.ts'

/** A token is not used any more so long before it ends: a push that begins now must get through. */
const marginMs = 10 * 60_000
/** All tries of one token together. */
const mintMsMax = 90_000
/** GitHub takes no more than ten minutes. */
const jwtSeconds = 9 * 60
/** The JWT is dated back by as much, for clocks that differ a little. */
const jwtBackSeconds = 60
/** A clock that differs by more from GitHub's is corrected. */
const skewMsMax = 30_000
/** A token is still kept out of everything so long after it ended. */
const forgottenMs = 24 * 60 * 60_000
/** Tokens that are kept; the oldest go first. */
const tokensMax = 1000

/** What a token is for: clones and fetches, or all that a task does on its repository. */
export type Access = 'read' | 'work'

/** What is asked for, as far as the installation was granted it. */
const wanted: Readonly<Record<Access, Readonly<Record<string, 'read' | 'write'>>>> = {
  read: { contents: 'read', metadata: 'read' },
  work: {
    contents: 'write',
    metadata: 'read',
    pull_requests: 'write',
    issues: 'write',
    checks: 'read',
    statuses: 'read',
    actions: 'read',
    // Whether they may change is judged at each push.
    workflows: 'write',
  },
}

interface Token {
  readonly token: string
  /** In GitHub's time. */
  readonly expiresAt: number
}

interface Installed {
  readonly id: number
  readonly permissions: Readonly<Record<string, string>>
}

interface AppOptions {
  readonly id: string
  readonly installationId: number | null
  readonly privateKey: KeyObject
  readonly apiUrl: URL
  /** Learns every token. */
  readonly scrubber: Scrubber
  readonly clock: Clock
  readonly log: Log
}

interface Wanted {
  readonly owner: string
  readonly repo: string
  readonly access: Access
}

/**
 * The tokens of one GitHub App's installations, one a repository and purpose, made when they are asked
 * for and kept until shortly before they end. Those who ask at once share one.
 */
export class AppTokens {
  readonly #o: AppOptions
  readonly #tokens = new Map<string, Token>()
  readonly #making = new Map<string, Promise<Token>>()
  /** GitHub's clock less ours, in milliseconds, once it was seen to matter. */
  #skewMs = 0

  constructor(o: AppOptions) {
    this.#o = o
  }

  /** Throws GitHubRefused, whose sentence names the app, or the signal's reason. */
  async of(o: Wanted & { signal: AbortSignal; refused: string | null }): Promise<string> {
    const key = `${o.owner}/${o.repo} ${o.access}`.toLowerCase()
    const known = this.#tokens.get(key)
    if (known !== undefined && known.token !== o.refused && this.#isGood(known)) return known.token
    const making = this.#making.get(key) ?? this.#make(key, o)
    const { clock } = this.#o
    const limit = { clock, ms: mintMsMax, signal: o.signal, what: 'a token of the GitHub App' }
    return (await withLimit(limit, () => making)).token
  }

  /** Whoever asked first may go away: it is made for all of them, within a limit of its own. */
  #make(key: string, o: Wanted): Promise<Token> {
    const { clock } = this.#o
    const { signal } = new AbortController()
    const limit = { clock, ms: mintMsMax, signal, what: 'a token of the GitHub App' }
    const making = withLimit(limit, (limited) => this.#mint(o, limited))
      .then((token) => {
        this.#keep(key, token)
        return token
      })
      .finally(() => this.#making.delete(key))
    this.#making.set(key, making)
    return making
  }

  async #mint({ owner, repo, access }: Wanted, signal: AbortSignal): Promise<Token> {
    const call = createCall({ ...this.#o, owner, repo, credential: async () => this.#jwt() })
    const ask = (route: string, fields: object) =>
      withRetries({ ...this.#o, signal }, () =>
        call(route, fields, signal).catch((error: unknown) => {
          if (!this.#hasOtherTime(error)) throw error
          return call(route, fields, signal)
        }),
      )
    try {
      const { id, permissions } = await this.#installationOf(ask)
      const granted = grantedOf(permissions, wanted[access])
      const route = `POST /app/installations/${id}/access_tokens`
      const made = tokenAnswer.parse(
        await ask(route, { repositories: [repo], permissions: granted }),
      )
      const expiresAt = Date.parse(made.expires_at)
      const now = this.#o.clock.now()
      this.#o.scrubber.learnUntil(made.token, { until: expiresAt + forgottenMs, now })
      return { token: made.token, expiresAt }
    } catch (error) {
      if (!(error instanceof GitHubRefused)) throw error
      const { status, message } = error
      const hint = status === 404 ? ' Is it installed there?' : ''
      const who = `The GitHub App ${this.#o.id} has no token for ${owner}/${repo}`
      throw new GitHubRefused({ status, message: `${who}: ${message}${hint}`, cause: error })
    }
  }

  async #installationOf(
    ask: (route: string, fields: object) => Promise<unknown>,
  ): Promise<Installed> {
    const { installationId: id } = this.#o
    const route =
      id === null ? 'GET /repos/{owner}/{repo}/installation' : `GET /app/installations/${id}`
    return installed.parse(await ask(route, {}))
  }

  /** The app's own credential (RFC 7519, RS256), good for asking about installations and tokens. */
  #jwt(): string {
    const seconds = Math.floor((this.#o.clock.now() + this.#skewMs) / 1000)
    const claims = {
      iat: seconds - jwtBackSeconds,
      exp: seconds + jwtSeconds - jwtBackSeconds,
      iss: this.#o.id,
    }
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const text = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`
    return `${text}.${sign('sha256', Buffer.from(text), this.#o.privateKey).toString('base64url')}`
  }

  /** Whether a refused JWT may be due to our clock, which is then corrected by the answer's date. */
  #hasOtherTime(error: unknown): boolean {
    const { status, response } = refusedJwt.safeParse(error).data ?? {}
    const date = Date.parse(response?.headers.date ?? '')
    if (status !== 401 || Number.isNaN(date)) return false
    const skewMs = date - this.#o.clock.now()
    if (Math.abs(skewMs - this.#skewMs) <= skewMsMax) return false
    this.#skewMs = skewMs
    this.#o.log.warn({ skewMs }, 'the clock of this machine differs from GitHub')
    return true
  }

  #isGood({ expiresAt }: Token): boolean {
    return expiresAt - marginMs > this.#o.clock.now() + this.#skewMs
  }

  #keep(key: string, token: Token): void {
    this.#tokens.delete(key)
    this.#tokens.set(key, token)
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= tokensMax) return
      this.#tokens.delete(oldest)
    }
  }
}

const installed = z.object({
  id: z.int().positive(),
  permissions: z.record(z.string(), z.string()).default({}),
})
const tokenAnswer = z.object({
  token: z.string().regex(/^[\x21-\x7e]{8,4096}$/),
  expires_at: z.iso.datetime({ offset: true }),
})
const refusedJwt = z.object({
  status: z.int(),
  response: z.object({ headers: z.object({ date: z.string().optional() }) }),
})

/** GitHub refuses a token that asks for more than the installation has. */
function grantedOf(
  has: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, 'read' | 'write'>>,
): Record<string, 'read' | 'write'> {
  return Object.fromEntries(
    Object.entries(wanted).flatMap(([name, want]) => {
      const given = has[name]
      if (given === undefined) return []
      return [[name, given === 'read' ? 'read' : want]]
    }),
  )
}
