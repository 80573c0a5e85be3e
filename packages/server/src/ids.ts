import { createHash } from 'node:crypto'
import { stringify, v7 } from 'uuid'
import type { Clock } from './clock.ts'

/** What an id names; the Managed Agents API's prefixes, and ours in the same manner. */
export type IdPrefix =
  | 'agent'
  | 'appr'
  | 'env'
  | 'sesn'
  | 'sevt'
  | 'task'
  | 'key'
  | 'art'
  | 'chk'
  | 'dlv'
  | 'endp'
  | 'repo'
  | 'sched'
  | 'req'
  | 'audit'
  | 'resv'
  | 'worker'

/** Crockford's base32 in lower case: no i, l, o, u, so an id survives being read aloud. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const base = BigInt(alphabet.length)
/** 26 base32 digits hold the 128 bits of a UUID. */
const digits = 26

/** A new id, `<prefix>_<26 digits>`; ids of one prefix sort by the time they were made. */
export function newId(prefix: IdPrefix, clock: Pick<Clock, 'now'>): string {
  return idOf(prefix, v7({ msecs: clock.now() }).replaceAll('-', ''))
}

/** The id of what is told apart by `parts`: the same ones have the same id, whenever it is made. */
export function derivedId(prefix: IdPrefix, ...parts: readonly (string | number)[]): string {
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
  return idOf(prefix, hash.slice(0, 32))
}

/** Of 128 bits in hexadecimal digits. */
function idOf(prefix: IdPrefix, hex: string): string {
  let rest = BigInt(`0x${hex}`)
  let text = ''
  for (let i = 0; i < digits; i += 1) {
    text = `${alphabet[Number(rest % base)] ?? ''}${text}`
    rest /= base
  }
  return `${prefix}_${text}`
}

/**
 * The UUID inside an id. A session's Claude conversation has this UUID, so a second attempt knows
 * the conversation's name before anything about it was stored.
 */
export function uuidOf(id: string): string {
  let value = 0n
  for (const digit of id.slice(id.indexOf('_') + 1)) {
    const at = alphabet.indexOf(digit)
    if (at < 0) throw new Error(`not an id: ${id}`)
    value = value * base + BigInt(at)
  }
  return stringify(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'))
}
