import { type EnvironmentContent, environmentContent } from '@longhaul/client/contract'
import type { Config, HostPort } from '../config.ts'
import { hostsOf } from '../gateway/network.ts'
import type { GatewayPolicy } from '../gateway/policy.ts'
import type { SandboxLimits } from '../sandbox/driver.ts'
import { defaultEnvironment } from '../tasks/seed-environment.ts'
import type { RunnerDeps } from './deps.ts'
import { limitsOf } from './limits.ts'

const mib = 1024 ** 2

/** The environment that the session pinned; of a session older than environments, the default. */
export function pinnedEnvironment(stored: unknown): EnvironmentContent {
  const pinned = environmentContent.safeParse(stored)
  return pinned.success ? pinned.data : defaultEnvironment
}

/** What its sandbox may take: what the environment says, and the server's own limits for the rest. */
export function limitsIn(
  { limits }: EnvironmentContent,
  config: Pick<Config, 'sandboxLimits'>,
): SandboxLimits {
  const own = limitsOf(config)
  const { memory_mib: memory, tmp_mib: tmp, disk_mib: disk, cpus, processes } = limits
  const { open_files: openFiles } = limits
  return {
    ...own,
    ...(memory !== null && { memoryBytes: memory * mib }),
    ...(tmp !== null && { tmpBytes: tmp * mib }),
    ...(disk !== null && { diskBytes: disk * mib }),
    ...(cpus !== null && { cpus }),
    ...(processes !== null && { processes }),
    ...(openFiles !== null && { openFiles }),
  }
}

/** What its gateway lets out, beside the model, git and GitHub of the task. */
export function networkIn(
  { name, config: { networking } }: EnvironmentContent,
  { config, egress }: Pick<RunnerDeps, 'config' | 'egress'>,
): Pick<GatewayPolicy, 'network' | 'connect' | 'environment'> {
  const registries = hostsOf(config.gatewayAllow, egress.presets)
  const { type } = networking
  if (type !== 'limited')
    return { network: type, connect: type === 'none' ? [] : registries, environment: name }
  const { allowed_hosts: allowed, allow_package_managers: managed } = networking
  const connect = [...allowed.map(hostPortOf), ...(managed ? registries : [])]
  return { network: 'limited', connect, environment: name }
}

/** Whether the operator's MCP servers may be reached, or started. */
export function allowsMcp({ config: { networking } }: EnvironmentContent): boolean {
  return networking.type === 'limited' ? networking.allow_mcp_servers : networking.type !== 'none'
}

function hostPortOf(text: string): HostPort {
  const [host = '', port = '443'] = text.split(':')
  return { host, port: Number(port) }
}
