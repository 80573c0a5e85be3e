import { join } from 'node:path'
import type { SandboxLimits, SandboxUsage } from '../driver.ts'
import { type CgroupFiles, counterIn, readNumber } from './cgroup-files.ts'
import { cpuPeriodUs, cpuShares, type GroupVersion, type Setting } from './group-version.ts'
import type { Controller } from './hierarchies.ts'

/** Control groups version 1: each controller in a tree of its own, or a few in one. */
export const cgroup1: GroupVersion = {
  settings(controllers, limits): Setting[] {
    return [
      ...(controllers.includes('memory') ? memory(limits) : []),
      ...(controllers.includes('pids') ? [{ file: 'pids.max', value: limits.processes }] : []),
      ...(controllers.includes('cpu')
        ? [
            { file: 'cpu.cfs_period_us', value: cpuPeriodUs },
            { file: 'cpu.shares', value: cpuShares },
            { file: 'cpu.cfs_quota_us', value: Math.round(limits.cpus * cpuPeriodUs) },
          ]
        : []),
    ]
  },

  hits(directory, controllers, files) {
    const count = (controller: Controller, file: string, name: string): number =>
      controllers.includes(controller) ? counterIn(files.readNow(join(directory, file)), name) : 0
    return {
      out_of_memory: count('memory', 'memory.oom_control', 'oom_kill'),
      too_many_processes: count('pids', 'pids.events', 'max'),
      disk_full: 0,
    }
  },

  async usage(directory, controllers, files): Promise<Partial<SandboxUsage>> {
    const number = (file: string) => readNumber(files, join(directory, file))
    return {
      ...(controllers.includes('memory') && {
        memoryBytes: await number('memory.usage_in_bytes'),
        memoryPeakBytes: await number('memory.max_usage_in_bytes'),
      }),
      ...(controllers.includes('pids') && { processes: await number('pids.current') }),
      ...(controllers.includes('cpuacct') && { cpuSeconds: await cpuSeconds(directory, files) }),
    }
  },
}

/** The second one bounds memory and swap together, so there is no swap; not every kernel counts it. */
function memory({ memoryBytes }: SandboxLimits): Setting[] {
  return [
    { file: 'memory.limit_in_bytes', value: memoryBytes },
    { file: 'memory.memsw.limit_in_bytes', value: memoryBytes, optional: true },
  ]
}

async function cpuSeconds(directory: string, files: CgroupFiles): Promise<number | null> {
  const nanoseconds = await readNumber(files, join(directory, 'cpuacct.usage'))
  return nanoseconds === null ? null : nanoseconds / 1e9
}
