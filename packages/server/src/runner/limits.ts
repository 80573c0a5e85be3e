import type { Config } from '../config.ts'
import type { SandboxLimits } from '../sandbox/driver.ts'
import { defaultLimits } from '../sandbox/limits.ts'

/** What a sandbox of this server may take: what the operator says, and the rest by default. */
export function limitsOf({ sandboxLimits }: Pick<Config, 'sandboxLimits'>): SandboxLimits {
  return { ...defaultLimits, ...sandboxLimits }
}
