import type { KeyObject } from 'node:crypto'

/** What the server has for repositories on its GitHub. */
export type GitCredential =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | {
      readonly kind: 'app'
      readonly id: string
      /** Null: GitHub is asked where the app is installed. */
      readonly installationId: number | null
      readonly privateKey: KeyObject
    }

/** One for a repository, or for all of an owner that have none of their own. */
export interface GitEntry {
  /** `acme/app` or `acme/*`, in lower case. */
  readonly match: string
  readonly credential: GitCredential
}

/** What a request with a secret may be. TRACE, which repeats its headers, is none of them. */
export const secretMethods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** A named secret, bound to a host: tasks use it without having it. */
export interface BoundSecret {
  readonly name: string
  /** In lower case; TLS is for this name. */
  readonly host: string
  readonly port: number
  /** The header that has it, in lower case, and what stands before it there. */
  readonly header: string
  readonly prefix: string
  readonly value: string
  /** Certificates as PEM, which alone vouch for the host; null: those that Node trusts. */
  readonly ca: string | null
  /** Whose tasks may use it: `acme/app` or `acme/*`, in lower case. */
  readonly repositories: readonly string[]
  readonly methods: readonly string[]
  /** Each with everything below it; `/`: all. */
  readonly paths: readonly string[]
}

/** How entries call the repository of this path (`/acme/app`), the narrower one first; or not at all. */
export function matchesOf(path: string): string[] {
  const [, owner, repo] = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/*$/.exec(path.toLowerCase()) ?? []
  return owner === undefined ? [] : [`${owner}/${repo}`, `${owner}/*`]
}
