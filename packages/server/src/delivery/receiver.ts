import type { HostPort } from '../config.ts'
import { type Address, AddressRefused, type Lookup, resolveJudged } from '../gateway/resolve.ts'

/** Where a receiver is, and who may be called there. */
export interface Receiver {
  readonly url: URL
  /** Receivers that may be private and may speak plain http. */
  readonly allow: readonly HostPort[]
  readonly signal: AbortSignal
  readonly lookup?: Lookup
}

/** A receiver may not be called; the message is a sentence without its stop. */
export class ReceiverRefused extends Error {}

/**
 * Where a URL that a stranger chose leads now: one address, judged, to be dialled as it is. Throws
 * `ReceiverRefused`, or the resolver's own error.
 */
export async function addressOf(o: Receiver): Promise<Address> {
  const { url, allow: allowPrivate, signal, lookup } = o
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const listed = allowPrivate.some((entry) => entry.host === host && entry.port === port)
  if (url.protocol !== 'https:' && !listed)
    throw new ReceiverRefused(`${host}:${port} is not reached over https and not in CALLBACK_ALLOW`)
  try {
    return await resolveJudged({ host, port, allowPrivate, signal, ...(lookup && { lookup }) })
  } catch (error) {
    if (error instanceof AddressRefused)
      throw new ReceiverRefused(
        `${host}:${port} is not a public address and not in CALLBACK_ALLOW`,
        { cause: error },
      )
    throw error
  }
}

/**
 * Why a receiver cannot be taken, as `expected …`; null: it can. A name that leads nowhere now is
 * taken: where it leads is judged again at each try.
 */
export async function receiverProblem(o: Omit<Receiver, 'signal'>): Promise<string | null> {
  try {
    // Resolving has a limit of its own.
    await addressOf({ ...o, signal: new AbortController().signal })
    return null
  } catch (error) {
    if (!(error instanceof ReceiverRefused)) return null
    return 'expected an https URL whose name leads to public addresses only, or a host:port that the operator lists in CALLBACK_ALLOW'
  }
}
