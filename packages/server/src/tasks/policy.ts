import { isIP } from 'node:net'
import type { OrderPolicy } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import { judgeAddress } from '../gateway/judge.ts'

const dayMs = 24 * 3600 * 1000
/** Days ahead that an order may say when to start; what waits longer is a schedule. */
const startDaysMax = 30

/**
 * Which addresses an order may name on this server: https ones, the operator's own GitHub, and what
 * the operator lists. A private address is refused here; where a name leads is judged later, when
 * it is dialled. And how far ahead an order may say when to start.
 */
export function orderPolicy(o: {
  /** Origins besides https ones that a repository may have: the operator's GITHUB_URL. */
  readonly trustedOrigins: readonly string[]
  readonly allowPrivate: readonly HostPort[]
  readonly callbackAllow: readonly HostPort[]
  readonly clock: Clock
}): OrderPolicy {
  return {
    repoUrl: ({ origin }) =>
      o.trustedOrigins.includes(origin) || isTaken(new URL(origin), o.allowPrivate)
        ? null
        : 'expected an https URL with a public address, or a host:port that the operator lists in GATEWAY_ALLOW_PRIVATE',
    callbackUrl: (receiver) =>
      isTaken(receiver, o.callbackAllow)
        ? null
        : 'expected an https URL with a public address, or a host:port that the operator lists in CALLBACK_ALLOW',
    startAt: (time) =>
      time <= o.clock.now() + startDaysMax * dayMs
        ? null
        : `expected a time at most ${startDaysMax} days ahead`,
  }
}

function isTaken(url: URL, list: readonly HostPort[]): boolean {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (list.some((entry) => entry.host === host && entry.port === port)) return true
  return url.protocol === 'https:' && (isIP(host) === 0 || judgeAddress(host).ok)
}
