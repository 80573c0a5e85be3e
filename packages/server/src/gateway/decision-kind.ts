import { isIP } from 'node:net'
import { judgeAddress } from './judge.ts'
import type { Decision } from './policy.ts'

/**
 * What sort of thing was tried. `write`: it would change something elsewhere (a push, a write to
 * GitHub or with a secret). `metadata` and `private`: it was denied, and led to a cloud's metadata or
 * to an address that is not public.
 */
export type DecisionKind = 'plain' | 'write' | 'metadata' | 'private'

/** Characters of one label. */
const labelCharsMax = 200

/** Where clouds keep their metadata besides 169.254/16, as AWS, Google, Azure and Alibaba document it. */
const metadataHosts: ReadonlySet<string> = new Set([
  'metadata',
  'metadata.google.internal',
  'fd00:ec2::254',
  'fd20:ce::254',
  '168.63.129.16',
  '100.100.100.200',
])

export function kindOf(decision: Decision): DecisionKind {
  if (isWrite(decision)) return 'write'
  const { route, verdict, host, details } = decision
  if (verdict === 'allowed' || (route !== 'connect' && route !== 'http')) return 'plain'
  const { address } = details
  const ways = [host.toLowerCase(), ...(typeof address === 'string' ? [address] : [])]
  if (ways.some(isMetadata)) return 'metadata'
  return ways.some(isPrivate) ? 'private' : 'plain'
}

function isWrite({ route, details: { kind, refs, method, asked } }: Decision): boolean {
  const words = typeof asked === 'string' ? asked : ''
  if (route === 'git')
    return kind === 'push' || refs !== undefined || words.includes('git-receive-pack')
  if (route !== 'github' && route !== 'secret') return false
  return !isRead(typeof method === 'string' ? method : words)
}

/** Of a method, or of a method and a path; of nothing, too. */
function isRead(words: string): boolean {
  return /^((GET|HEAD)\b|$)/.test(words)
}

function isMetadata(way: string): boolean {
  return metadataHosts.has(way) || /^(169\.254\.|(::ffff:|64:ff9b::)a9fe:)/.test(way)
}

function isPrivate(way: string): boolean {
  return way === 'localhost' || (isIP(way) !== 0 && !judgeAddress(way).ok)
}

/** What it is without that by which reads of one thing differ: the query. */
export function withoutQuery(decision: Decision): Decision {
  const { path, asked, method } = decision.details
  const cut: Record<string, string> = {}
  if (typeof path === 'string' && typeof method === 'string' && isRead(method))
    cut['path'] = beforeQuery(path)
  if (typeof asked === 'string' && isRead(asked)) cut['asked'] = beforeQuery(asked)
  return { ...decision, details: { ...decision.details, ...cut } }
}

/** Two decisions with one likeness are equal for whoever reads the audit. */
export function likenessOf(decision: Decision): string {
  const { host, port, why, details, isWayOut } = withoutQuery(decision)
  return JSON.stringify([host, port, why, details, isWayOut])
}

/** Where to, and what was asked for there: `api.github.com:443 GET /repos/acme/app`. */
export function labelOf({ host, port, details }: Decision): string {
  const { asked, refs, method, path } = details
  const what = [asked, ...(asked === undefined ? [method, path] : []), refs].flat()
  const words = what.filter((each) => typeof each === 'string')
  const label = [`${host}:${port}`, ...words].join(' ')
  return label.slice(0, labelCharsMax).toWellFormed()
}

function beforeQuery(text: string): string {
  return text.split('?')[0] ?? ''
}
