import type { OutgoingHttpHeaders } from 'node:http'
import type { HostPort } from '../config.ts'
import { type Credential, fixedCredential } from './credential.ts'
import type { GitPolicy } from './policy.ts'

/** A request of git's smart HTTP protocol that the policy grants, and where it goes. */
export interface GitRequest {
  readonly kind: 'advertise' | 'upload' | 'push'
  readonly upstream: URL
  /** Its path. */
  readonly repository: string
  /** Whether it is the session's own repository. */
  readonly isOwn: boolean
}

/**
 * Judges method, path and query of a `/git` request against the repositories of the policy. Any
 * path that a server might read differently from us (escapes, dots, doubled slashes) is refused.
 * Pure; `why` is a sentence that git prints.
 */
export function judgeGitRequest(o: {
  url: string
  method: string
  git: GitPolicy
}): GitRequest | { readonly kind: 'refused'; readonly why: string } {
  const [path = '', query = ''] = o.url.split('?')
  const [, repository = '', endpoint = ''] =
    /^\/git(\/.*)\/(info\/refs|git-upload-pack|git-receive-pack)$/.exec(path) ?? []
  if (endpoint === '' || !isPlain(repository))
    return refused('Only fetch and push of the repository of this session are allowed.')
  const isOwn = withoutSuffix(repository) === withoutSuffix(o.git.path)
  if (!isOwn && !mayRead(o.git, repository))
    return refused(`Only ${o.git.origin}${o.git.path} may be reached from this session.`)
  const asked = `${o.method} ${endpoint}${query === '' ? '' : `?${query}`}`
  const kind = kinds.get(asked)
  if (kind === undefined) return refused('Only the smart HTTP protocol of git is allowed.')
  if (!isOwn && asked.includes('git-receive-pack'))
    return refused('This session may read that repository, but not push to it.')
  if (asked.includes('git-receive-pack') && o.git.pushRefs.length === 0)
    return refused('This session may read its repository, but not push to it.')
  const origin = new URL(o.git.origin)
  const prefix = origin.pathname.replace(/\/+$/, '')
  return {
    kind,
    repository,
    isOwn,
    upstream: new URL(
      `${prefix}${repository}/${endpoint}${query === '' ? '' : `?${query}`}`,
      origin,
    ),
  }
}

function mayRead({ readAlso = [] }: GitPolicy, repository: string): boolean {
  const path = withoutSuffix(repository)
  const owner = path.slice(0, path.lastIndexOf('/'))
  return readAlso.includes(path) || readAlso.includes(`${owner}/*`)
}

/** The host to dial. */
export function targetOf({ origin }: GitPolicy): HostPort {
  const url = new URL(origin)
  return { host: url.hostname, port: Number(url.port || (url.protocol === 'http:' ? 80 : 443)) }
}

/** What a granted request is sent with. */
export function credentialOf(git: GitPolicy, { isOwn, repository }: GitRequest): Credential {
  return isOwn ? git.credential : (git.credentialAlso?.(repository) ?? fixedCredential(null))
}

/** The header that carries the credential; none if there is no credential. */
export function authorizationOf(credential: string | null): OutgoingHttpHeaders {
  if (credential === null) return {}
  const pair = Buffer.from(`x-access-token:${credential}`).toString('base64')
  return { authorization: `Basic ${pair}` }
}

const kinds: ReadonlyMap<string, GitRequest['kind']> = new Map([
  ['GET info/refs?service=git-upload-pack', 'advertise'],
  ['GET info/refs?service=git-receive-pack', 'advertise'],
  ['POST git-upload-pack', 'upload'],
  ['POST git-receive-pack', 'push'],
])

/** Path segments of plain characters only, none empty, none of dots alone. */
function isPlain(path: string): boolean {
  return (
    path.length <= 1024 &&
    path
      .slice(1)
      .split('/')
      .every((part) => /^[\w.~+@-]+$/.test(part) && !/^\.+$/.test(part))
  )
}

function withoutSuffix(path: string): string {
  return path.replace(/\/+$/, '').replace(/\.git$/, '')
}

function refused(why: string): { readonly kind: 'refused'; readonly why: string } {
  return { kind: 'refused', why }
}
