import { z } from 'zod'
import { check } from './common.ts'

/** A repository on a git host, as the server clones it. */
export interface RepoUrl {
  /** Scheme, host and port: `https://github.com`. */
  readonly origin: string
  /** Path with its leading slash, without `.git` and trailing slashes: `/acme/app`. */
  readonly path: string
  /** `origin` and `path` together: the normal form that is stored and shown. */
  readonly url: string
}

/** Characters of a repository URL, at most. */
const repoUrlMax = 2048

const forms =
  'expected a repository URL such as https://github.com/acme/app or git@github.com:acme/app.git'

/**
 * Reads a repository URL: `https://host/path`, `http://host/path`, `git@host:path` or
 * `ssh://git@host/path` (the last two become https). Throws an Error that says what was expected for
 * anything else: credentials, queries, fragments, local paths, other schemes, `..`, control
 * characters. An order's `repoUrl` was validated with the same rules.
 */
export function parseRepoUrl(text: string): RepoUrl {
  const parsed = readRepoUrl(text)
  if (typeof parsed === 'string') throw new Error(`repository URL: ${parsed}`)
  return parsed
}

/** A repository URL in an order. `policy`: what a server says to a well-formed one, or null. */
export function repoUrlField(policy: (repository: RepoUrl) => string | null) {
  return z
    .string()
    .superRefine(
      check((value: string) => {
        const parsed = readRepoUrl(value)
        return typeof parsed === 'string' ? parsed : policy(parsed)
      }),
    )
    .meta({
      description:
        'Git repository: https://host/path, http://host/path, git@host:path or ssh://git@host/path, without credentials.',
      example: 'https://github.com/acme/app',
      maxLength: repoUrlMax,
    })
}

/** The repository, or a sentence `expected …`. */
function readRepoUrl(text: string): RepoUrl | string {
  if (text.length > repoUrlMax) return `expected at most ${repoUrlMax} characters`
  if (!/^[\x21-\x7e]+$/.test(text)) return `${forms}, without spaces or control characters`
  if (/[\\?#]/.test(text)) return `${forms}, without a query, a fragment or a backslash`
  // URL parsers resolve `..` and its escapes silently; a repository path never needs either.
  if (/(^|[/:])(\.|%2e){1,2}(\/|$)/i.test(text)) return `${forms}, without . or .. in its path`
  const url = toUrl(text)
  if (url === null) return forms
  if (url.username !== '' || url.password !== '')
    return `${forms}, without credentials: the server adds its own`
  const path = url.pathname.replace(/\/+$/, '').replace(/\.git$/, '')
  if (!/^(\/(?:[A-Za-z0-9._~+@-]|%[0-9a-f]{2})+)+$/i.test(path))
    return `${forms}, with the path of a repository`
  if (path.match(/%[0-9a-f]{2}/gi)?.some(isNeedless) === true)
    return `${forms}, without needless escapes: each path has one spelling`
  return { origin: url.origin, path, url: `${url.origin}${path}` }
}

/**
 * What git hosts of one's own need escaped stays: spaces (Azure DevOps has them), what is not ASCII, and
 * punctuation. What could stand plainly would be a second name of the same repository, with other
 * settings; `%25` would hide a further escape; controls, `/` and `\` are read differently by servers.
 */
function isNeedless(escaped: string): boolean {
  const code = Number.parseInt(escaped.slice(1), 16)
  return code < 0x80 && !/[ !"#$&'()*,:;<=>?[\]^`{|}]/.test(String.fromCharCode(code))
}

function toUrl(text: string): URL | null {
  const scp = /^git@([A-Za-z0-9.-]+):([^/:][^:]*)$/.exec(text)
  if (scp) return parse(`https://${scp[1]}/${scp[2]}`)
  const ssh = /^ssh:\/\/git@([A-Za-z0-9.-]+)(?::\d{1,5})?\/(.+)$/i.exec(text)
  if (ssh) return parse(`https://${ssh[1]}/${ssh[2]}`)
  return /^https?:\/\/[^/]/i.test(text) ? parse(text) : null
}

function parse(text: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null
  return url !== null && url.hostname !== '' ? url : null
}
