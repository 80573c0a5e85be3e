import type { SandboxLimits, SandboxUsage } from '../driver.ts'
import type { CgroupFiles } from './cgroup-files.ts'
import type { Controller } from './hierarchies.ts'
import type { LimitHits } from './hits.ts'

/** A processor's time is dealt out anew this often: the kernel's own default, in microseconds. */
export const cpuPeriodUs = 100_000

/**
 * A session's share where more want to work than there are processors, against 1024 of a process of
 * the server's: the server goes on answering. It is in version 1's numbers.
 */
export const cpuShares = 256

/** One file of a group, and what is written into it. */
export interface Setting {
  readonly file: string
  readonly value: number | string
  /** Where a kernel does not have it, the group is as good without. */
  readonly optional?: true
}

/** What differs between the two versions of control groups. */
export interface GroupVersion {
  /** In the order in which the kernel takes them. */
  settings(controllers: readonly Controller[], limits: SandboxLimits): Setting[]
  /** The group's counters; throws when it is gone. */
  hits(directory: string, controllers: readonly Controller[], files: CgroupFiles): LimitHits
  usage(
    directory: string,
    controllers: readonly Controller[],
    files: CgroupFiles,
  ): Promise<Partial<SandboxUsage>>
}
