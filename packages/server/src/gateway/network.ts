import type { IncomingHttpHeaders } from 'node:http'
import { type AllowedHost, type HostPort, isPreset, type Preset } from '../config.ts'
import { type GatewayPolicy, lists } from './policy.ts'

/** Ports of the web: all that an unrestricted network is for. */
const webPorts = [80, 443]
/** Letters of a tool's name; what the sandbox says it is, is not believed further. */
const tool = /^([A-Za-z][\w.-]{0,29})(?=$|[/ ])/

/** The hosts of a list, each preset replaced by the hosts that it stands for. */
export function hostsOf(
  allowed: readonly AllowedHost[],
  presets: Readonly<Record<Preset, readonly HostPort[]>>,
): HostPort[] {
  return allowed.flatMap((each) => (isPreset(each) ? presets[each] : [each]))
}

/** Whether CONNECT and plain HTTP may go there; where its name leads is judged besides. */
export function grants({ network, connect }: GatewayPolicy, target: HostPort): boolean {
  switch (network) {
    case 'none':
      return false
    case 'limited':
      return lists(connect, target)
    case 'unrestricted':
      return webPorts.includes(target.port) || lists(connect, target)
  }
}

/** Why it may not, for people: who wanted what, and where it is allowed. */
export function sentenceOfDenial(
  { network, environment }: GatewayPolicy,
  { host, port }: HostPort,
  headers: IncomingHttpHeaders,
): string {
  const wanted = `${tool.exec(headers['user-agent'] ?? '')?.[1] ?? 'Something'} wanted ${host}:${port}`
  if (environment === undefined)
    return `${wanted}, which is not allowed; GATEWAY_ALLOW may list it.`
  if (network === 'none') return `${wanted}; environment ${environment} has no network.`
  return `${wanted}; allow it in environment ${environment}.`
}
