import type { EnvironmentLimits } from '@longhaul/client/contract'
import type { Config } from '../config.ts'
import type { SandboxLimits } from '../sandbox/driver.ts'
import { defaultLimits } from '../sandbox/limits.ts'

/** What a sandbox of this server may take: what the operator says, and the rest by default. */
export function limitsOf({ sandboxLimits }: Pick<Config, 'sandboxLimits'>): SandboxLimits {
  return { ...defaultLimits, ...sandboxLimits }
}

/** The same in the units of environments. */
export function environmentLimitsOf(
  config: Pick<Config, 'sandboxLimits'>,
): Readonly<Record<keyof EnvironmentLimits, number>> {
  const { memoryBytes, cpus, processes, openFiles, tmpBytes, diskBytes } = limitsOf(config)
  return {
    memory_mib: memoryBytes / 1024 ** 2,
    cpus,
    processes,
    open_files: openFiles,
    tmp_mib: tmpBytes / 1024 ** 2,
    disk_mib: diskBytes / 1024 ** 2,
  }
}
