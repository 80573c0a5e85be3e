import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Clock, systemClock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import { judgeAddress } from './judge.ts'
import { withLimit } from './limits.ts'
import { lists } from './policy.ts'

/** An address that was judged; exactly this one is dialled. */
export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

/** Resolves a host name to every address it has; rejects if it has none. */
export type Lookup = (host: string) => Promise<readonly { address: string; family: number }[]>

/** The system's resolver. */
export const lookupAll: Lookup = (host) => systemLookup(host, { all: true })

/** A host was refused; the message is one sentence that names the setting which would allow it. */
export class AddressRefused extends Error {
  /** The address that a name led to, if it was that. */
  readonly address: string | null

  constructor(message: string, address: string | null = null) {
    super(message)
    this.address = address
  }
}

/** A name server that does not answer must not hold a connection for longer. */
const lookupMs = 10_000
/** More addresses than any honest name has. */
export const addressesMax = 64

/**
 * Resolves a host once and judges every address it has, so that no second resolution can answer
 * something else. IP literals, in whatever spelling, and private addresses pass only if
 * `allowPrivate` lists this host and port. Throws AddressRefused, or the resolver's own error.
 */
export async function resolveJudged(o: {
  host: string
  port: number
  allowPrivate: readonly HostPort[]
  signal: AbortSignal
  lookup?: Lookup
  clock?: Clock
}): Promise<Address> {
  const host = canonicalHost(o.host)
  if (host === null) throw new AddressRefused(`${JSON.stringify(o.host)} is not a host name.`)
  const mayBePrivate = lists(o.allowPrivate, { host, port: o.port })
  const literal = familyOf(host)
  if (literal !== null) {
    if (mayBePrivate) return { address: host, family: literal }
    throw new AddressRefused(
      `${host} is an IP address, and only host names are allowed; GATEWAY_ALLOW_PRIVATE may list ${host}:${o.port}.`,
    )
  }
  const { lookup = lookupAll, clock = systemClock, signal } = o
  const found = await withLimit({ clock, ms: lookupMs, signal, what: `resolving ${host}` }, () =>
    lookup(host),
  )
  return choose({ host, port: o.port, found: found.slice(0, addressesMax), mayBePrivate })
}

/**
 * A host as the URL standard spells it: lower case, no brackets, `2852039166` and `0x7f.1` as the
 * dotted address they mean, no root dot at the end. Null if it is none.
 */
export function canonicalHost(host: string): string | null {
  const bare = host.replace(/^\[|\]$/g, '')
  if (bare.length > 255 || /[\s/@?#\\%]/.test(bare)) return null
  const url = URL.parse(`http://${bare.includes(':') ? `[${bare}]` : bare}/`)
  if (url === null || url.hostname === '') return null
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
}

/** One bad address refuses the name: which one would be dialled is not the attacker's choice. */
function choose(o: {
  host: string
  port: number
  found: readonly { address: string }[]
  mayBePrivate: boolean
}): Address {
  for (const { address } of o.mayBePrivate ? [] : o.found) {
    const verdict = judgeAddress(address)
    if (verdict.ok) continue
    throw new AddressRefused(
      `${o.host} resolves to an address that may not be reached (${verdict.why}); GATEWAY_ALLOW_PRIVATE may list ${o.host}:${o.port}.`,
      address,
    )
  }
  const address = o.found[0]?.address ?? ''
  const family = familyOf(address)
  if (family === null) throw new AddressRefused(`${o.host} has no address.`)
  return { address, family }
}

function familyOf(host: string): 4 | 6 | null {
  const family = isIP(host)
  return family === 4 || family === 6 ? family : null
}
