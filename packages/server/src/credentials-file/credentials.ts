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
