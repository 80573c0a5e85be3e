import type { KeyObject } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import { type GitCredential, matchesOf } from '../credentials-file/credentials.ts'
import type { Log } from '../log.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { type Credential, fixedCredential } from './credential.ts'
import { type Access, AppTokens } from './github-app.ts'

/** The credential of one repository. */
export interface RepositoryCredential {
  readonly credential: Credential
  /** Whether it is good for this repository alone. */
  readonly isScoped: boolean
}

type App = Extract<GitCredential, { kind: 'app' }>

/**
 * What the server has for the repositories of its GitHub, each its own: the entry of the repository,
 * else that of its owner, else the default. Everything that speaks to GitHub or its git asks here.
 */
export class GitCredentials {
  readonly #config: Config['github']
  readonly #o: { readonly clock: Clock; readonly log: Log }
  /** Knows all of them, and takes them out of what is said on GitHub. */
  readonly scrubber: Scrubber
  /** By app, so that all of its repositories share one knowledge of it. */
  readonly #apps = new Map<KeyObject, AppTokens>()

  constructor(
    config: Config['github'],
    o: { readonly clock: Clock; readonly log: Log; readonly scrubber?: Scrubber },
  ) {
    this.#config = config
    this.#o = o
    this.scrubber = o.scrubber ?? new Scrubber([])
  }

  /** Null where the server has none: another host, or a repository without one. `path`: `/acme/app`. */
  of(o: { origin: string; path: string; access: Access }): RepositoryCredential | null {
    const [, owner = '', repo = ''] = /^\/([^/]+)\/([^/]+?)(?:\.git)?\/*$/.exec(o.path) ?? []
    if (o.origin !== this.#config.url.origin) return null
    const found = this.#entryOf(o.path)
    switch (found.kind) {
      case 'none':
        return null
      case 'token':
        return { credential: fixedCredential(found.token), isScoped: false }
      case 'app': {
        const tokens = this.#appOf(found)
        const at = { owner, repo, access: o.access }
        return {
          credential: (signal, refused) => tokens.of({ ...at, signal, refused: refused ?? null }),
          isScoped: true,
        }
      }
    }
  }

  #entryOf(path: string): GitCredential {
    const { entries, fallback } = this.#config.credentials
    const found = matchesOf(path).flatMap((name) => entries.filter(({ match }) => match === name))
    return found[0]?.credential ?? fallback
  }

  #appOf(app: App): AppTokens {
    const known = this.#apps.get(app.privateKey)
    if (known !== undefined) return known
    const made = new AppTokens({
      ...{ ...this.#o, ...app, scrubber: this.scrubber },
      apiUrl: this.#config.apiUrl,
    })
    this.#apps.set(app.privateKey, made)
    return made
  }
}
