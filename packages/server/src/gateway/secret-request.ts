import type { IncomingMessage } from 'node:http'
import type { BoundSecret } from '../credentials-file/credentials.ts'

/** A request that a secret is for, and where it goes. */
export interface SecretRequest {
  readonly secret: BoundSecret
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly url: URL
}

interface Refusal {
  readonly status: number
  readonly host: string
  readonly port: number
  /** One sentence. */
  readonly why: string
}

/** Reads `/secret/NAME/rest?query` and holds it against the rule of the secret. */
export function judgeSecretRequest(
  secrets: readonly BoundSecret[],
  { method = '', url: asked = '' }: Pick<IncomingMessage, 'method' | 'url'>,
): SecretRequest | Refusal {
  const [, name = '', rest = '', query = ''] =
    /^\/secret\/([A-Z0-9_]{1,64})(\/[^?#]*)?(\?[^#]*)?$/.exec(asked) ?? []
  const secret = secrets.find((each) => each.name === name)
  if (secret === undefined) return unknown(name)
  const { host, port } = secret
  // `${NAME_URL}/v1` has two slashes, and nobody means them.
  const path = rest.replace(/^\/*/, '/')
  const refused = (status: number, why: string): Refusal => ({ status, host, port, why })
  if (!isPlain(path) || !isPrintable(query))
    return refused(403, 'A path may not have dots for names, or a slash in disguise.')
  if (namesMethod(query)) return refused(403, 'A query may not name a method (_method).')
  if (!secret.methods.includes(method))
    return refused(405, `The secret ${name} is not for ${method} requests.`)
  if (!secret.paths.some((each) => isBelow(path, each)))
    return refused(403, `The secret ${name} is not for this path.`)
  return { secret, method, path, url: new URL(`https://${host}:${port}${path}${query}`) }
}

/** Some servers take the method of `?_method=DELETE` for that of the request. */
function namesMethod(query: string): boolean {
  const read = query.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return /[?&;]_method(?!\w)/i.test(read)
}

/** Whether it leads there or further down. */
function isBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(top.endsWith('/') ? top : `${top}/`)
}

function unknown(name: string): Refusal {
  const which = name === '' ? 'There is no such secret' : `There is no secret ${name} for this task`
  const why = `${which}: its environment and the operator's rule for its repository have to name it.`
  return { status: 404, host: 'secret', port: 0, why }
}

/**
 * Whether every server reads the path alike, so that what was judged is what is served: no `..`, no
 * slash and no control character, however they are written, and not before a `;` (as Java has it).
 */
function isPlain(path: string): boolean {
  if (!isPrintable(path) || /\\|%(?:25)*(?:2f|5c|[01][0-9a-f]|7f)/i.test(path)) return false
  const segments = path.replaceAll(/%(?:25)*2e/gi, '.').split('/')
  return segments.every((each) => !/^\.{1,2}(?:;|%(?:25)*3b|$)/i.test(each)) && isUtf8(path)
}

function isPrintable(text: string): boolean {
  return /^[\x21-\x7e]*$/.test(text)
}

function isUtf8(path: string): boolean {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    // An escape that is none, or of bytes that are no text: servers differ about it.
    return false
  }
}
