import { isIP } from 'node:net'
import type { OrderPolicy } from '@longhaul/client/contract'
import type { Clock } from '../clock.ts'
import type { HostPort } from '../config.ts'
import { isGitHubName } from '../gateway/github.ts'
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
  /** Of GITHUB_URL: a repository may have it whatever its address, and is named as GitHub names them. */
  readonly gitHubOrigin: string
  readonly allowPrivate: readonly HostPort[]
  readonly callbackAllow: readonly HostPort[]
  readonly clock: Clock
}): OrderPolicy {
  return {
    repoUrl: ({ origin, path }) =>
      origin === o.gitHubOrigin
        ? gitHubPathProblem(path)
        : isTaken(new URL(origin), o.allowPrivate)
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

function gitHubPathProblem(path: string): string | null {
  const names = path.slice(1).split('/')
  return names.length === 2 && names.every(isGitHubName)
    ? null
    : 'expected /owner/name of a repository on GitHub, each of at most 100 letters, digits and _.-'
}

function isTaken(url: URL, list: readonly HostPort[]): boolean {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (list.some((entry) => entry.host === host && entry.port === port)) return true
  return url.protocol === 'https:' && (isIP(host) === 0 || judgeAddress(host).ok)
}
