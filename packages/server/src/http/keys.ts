import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { newId } from '../ids.ts'

/** Random bytes of a minted key; so much entropy needs no slow hash. */
const secretBytes = 32
/** Characters of a key that a client may send; a given LONGHAUL_API_KEY has at most 256. */
const keyCharsMax = 512

/** A new API key: `key` is shown to its owner once, `id` and `hash` are stored. */
export function mintKey(clock: Clock): { id: string; key: string; hash: string } {
  const id = newId('key', clock)
  const secret = randomBytes(secretBytes).toString('base64url')
  const key = `lh_${id.slice('key_'.length)}_${secret}`
  return { id, key, hash: hashKey(key) }
}

/** What the `keys` table holds of a key: its SHA-256 in hexadecimal digits. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

/** Compares two hashes in constant time. */
export function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/**
 * The key in a request's headers: `Authorization: Bearer`, `x-api-key`, or, where a browser opens a
 * WebSocket and can set neither, one of its protocols, `bearer.<key>`. Null: none was sent.
 */
export function keyOf(headers: {
  readonly authorization: string | undefined
  readonly apiKey: string | undefined
  readonly protocols: string | undefined
}): string | null {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  const offered = /(?:^|,)\s*bearer\.([^\s,]+)\s*(?:,|$)/.exec(headers.protocols ?? '')?.[1]
  const key = bearer ?? headers.apiKey?.trim() ?? offered ?? ''
  return key !== '' && key.length <= keyCharsMax ? key : null
}
