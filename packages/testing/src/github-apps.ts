import { generateKeyPairSync, type KeyObject, randomBytes, verify } from 'node:crypto'
import type { FakeRepository } from './fake-repository.ts'
import { objectOf } from './wire.ts'

/** Of an app's installation, as its owner granted them. */
export type Permissions = Readonly<Record<string, 'read' | 'write'>>

/** A GitHub App that is installed for the repositories of one owner. */
export interface FakeApp {
  readonly id: string
  readonly installationId: number
  /** PKCS#1 in PEM, as GitHub hands it out. */
  readonly privateKey: string
}

export interface AppOptions {
  readonly owner: string
  /** Names; absent: all of the owner's. */
  readonly repositories?: readonly string[]
  readonly permissions: Permissions
}

/** One that was made for an installation, or for some of its repositories. */
export interface InstallationToken {
  readonly token: string
  /** Milliseconds, by the fake's clock. */
  readonly expiresAt: number
  /** `owner/name`, in lower case. */
  readonly repositories: ReadonlySet<string>
  readonly permissions: Permissions
}

interface Installed extends AppOptions, FakeApp {
  readonly publicKey: KeyObject
}

/** What an app's request is answered. */
interface Answer {
  readonly status: number
  readonly body: object
}

const hourMs = 60 * 60_000
/** GitHub takes no JWT that is good for longer. */
const jwtSecondsMax = 10 * 60
const firstId = 1_000

/** The apps of a fake GitHub and the tokens of their installations. */
export class Apps {
  readonly #apps: Installed[] = []
  /** By the token. */
  readonly tokens = new Map<string, InstallationToken>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  create(options: AppOptions): FakeApp {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const number = firstId + this.#apps.length
    const app: Installed = {
      ...options,
      ...{ id: String(number), installationId: number + 10_000, publicKey },
      privateKey: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    }
    this.#apps.push(app)
    return app
  }

  /** The token, if it is one that has not ended. */
  tokenOf(given: string): InstallationToken | undefined {
    const found = this.tokens.get(given)
    return found !== undefined && found.expiresAt > this.#now() ? found : undefined
  }

  /** `GET /repos/{owner}/{repo}/installation`. */
  installationOf(authorization: string | null, repository: FakeRepository | undefined): Answer {
    const app = this.#authenticate(authorization)
    if ('status' in app) return app
    const isThere = repository !== undefined && covers(app, repository)
    return isThere ? { status: 200, body: installationOf(app) } : notFound
  }

  /** `GET /app/installations/{id}`. */
  installation(authorization: string | null, id: string): Answer {
    const app = this.#authenticate(authorization)
    if ('status' in app) return app
    return String(app.installationId) === id ? { status: 200, body: installationOf(app) } : notFound
  }

  /** `POST /app/installations/{id}/access_tokens`. */
  createToken(
    authorization: string | null,
    o: { id: string; order: unknown; repositories: readonly FakeRepository[] },
  ): Answer {
    const app = this.#authenticate(authorization)
    if ('status' in app) return app
    if (String(app.installationId) !== o.id) return notFound
    const { repositories: names, permissions } = objectOf(o.order)
    const own = o.repositories.filter((each) => covers(app, each))
    const asked = Array.isArray(names) ? names.map(String) : own.map(({ name }) => name)
    const chosen = own.filter(({ name }) => asked.some((one) => same(one, name)))
    if (chosen.length < asked.length) return refused(422, unknownRepository)
    const wanted = permissions === undefined ? app.permissions : (permissions as Permissions)
    const isGranted = Object.entries(wanted).every(([name, level]) => allows(app, name, level))
    if (!isGranted) return refused(422, notGranted)
    const token: InstallationToken = {
      token: `ghs_${randomBytes(18).toString('hex')}`,
      // GitHub counts in seconds.
      expiresAt: Math.floor(this.#now() / 1000) * 1000 + hourMs,
      repositories: new Set(chosen.map(({ owner, name }) => `${owner}/${name}`.toLowerCase())),
      permissions: wanted,
    }
    this.tokens.set(token.token, token)
    const expires_at = new Date(token.expiresAt).toISOString().replace('.000Z', 'Z')
    const body = { token: token.token, expires_at, permissions: wanted }
    return { status: 201, body: { ...body, repository_selection: 'selected' } }
  }

  /** Whose JWT it is; in GitHub's words if it is none that counts. */
  #authenticate(authorization: string | null): Installed | Answer {
    const [, text = '', signature = ''] =
      /^bearer ([\w-]+\.[\w-]+)\.([\w-]+)$/i.exec(authorization ?? '') ?? []
    const [header, claims] = text.split('.').map(decode)
    if (objectOf(header)['alg'] !== 'RS256') return refused(401, undecodable)
    const { iss, iat, exp } = objectOf(claims)
    const app = this.#apps.find(({ id }) => id === String(iss))
    if (app === undefined) return refused(404, 'Integration not found')
    const isOwn = verify(
      'sha256',
      Buffer.from(text),
      app.publicKey,
      Buffer.from(signature, 'base64url'),
    )
    if (!isOwn) return refused(401, undecodable)
    const seconds = this.#now() / 1000
    if (!Number.isInteger(iat) || Number(iat) > seconds) return refused(401, badIat)
    if (!Number.isInteger(exp) || Number(exp) <= seconds) return refused(401, badExp)
    return Number(exp) > seconds + jwtSecondsMax ? refused(401, farExp) : app
  }
}

/** Whether a holder of these permissions may do that. */
export function allows(
  { permissions }: { readonly permissions: Permissions },
  name: string,
  level: 'read' | 'write',
): boolean {
  // Whoever may see a repository may see what it is.
  const has = permissions[name] ?? (name === 'metadata' ? 'read' : undefined)
  return has === 'write' || has === level
}

const undecodable = 'A JSON web token could not be decoded'
const badIat =
  "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
const badExp =
  "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
const farExp = "'Expiration time' claim ('exp') is too far in the future"
const unknownRepository =
  'There is at least one repository that does not exist or is not accessible to the parent installation.'
const notGranted = 'The permissions requested are not granted to this installation.'
const notFound = refused(404, 'Not Found')

function refused(status: number, message: string): Answer {
  const documentation_url = 'https://docs.github.com/rest'
  return { status, body: { message, documentation_url, status: String(status) } }
}

function installationOf(app: Installed): object {
  const { installationId: id, id: app_id, owner: login, permissions } = app
  const repository_selection = app.repositories === undefined ? 'all' : 'selected'
  return { id, app_id: Number(app_id), account: { login }, permissions, repository_selection }
}

function covers(app: AppOptions, { owner, name }: FakeRepository): boolean {
  const { repositories: names } = app
  return same(app.owner, owner) && (names === undefined || names.some((one) => same(one, name)))
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
}
