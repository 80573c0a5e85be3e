import { join } from 'node:path'
import type { SandboxUsage } from '../driver.ts'
import { type CgroupFiles, codeOf, counterIn, readNumber } from './cgroup-files.ts'
import { cpuPeriodUs, cpuShares, type GroupVersion, type Setting } from './group-version.ts'
import { type Controller, type Hierarchy, serverLeaf } from './hierarchies.ts'

/** Against 100 of the server's leaf. */
const cpuWeight = Math.round((cpuShares / 1024) * 100)

/**
 * Control groups version 2, one tree for all controllers. `memory.oom.group` stays off: the kernel
 * then kills the process that takes most, as version 1 does, and an agent outlives its own hog.
 */
export const cgroup2: GroupVersion = {
  settings(controllers, limits): Setting[] {
    const quota = `${Math.round(limits.cpus * cpuPeriodUs)} ${cpuPeriodUs}`
    return [
      ...(controllers.includes('memory')
        ? [
            { file: 'memory.max', value: limits.memoryBytes },
            { file: 'memory.swap.max', value: 0, optional: true as const },
          ]
        : []),
      ...(controllers.includes('pids') ? [{ file: 'pids.max', value: limits.processes }] : []),
      ...(controllers.includes('cpu')
        ? [
            { file: 'cpu.max', value: quota },
            { file: 'cpu.weight', value: cpuWeight },
          ]
        : []),
    ]
  },

  hits(directory, controllers, files) {
    const count = (controller: Controller, file: string, name: string): number =>
      controllers.includes(controller) ? counterIn(files.readNow(join(directory, file)), name) : 0
    return {
      out_of_memory: count('memory', 'memory.events', 'oom_kill'),
      too_many_processes: count('pids', 'pids.events', 'max'),
      disk_full: 0,
    }
  },

  async usage(directory, controllers, files): Promise<Partial<SandboxUsage>> {
    const number = (file: string) => readNumber(files, join(directory, file))
    const cpu = await files.read(join(directory, 'cpu.stat')).catch(() => '')
    return {
      ...(controllers.includes('memory') && {
        memoryBytes: await number('memory.current'),
        memoryPeakBytes: await number('memory.peak'),
      }),
      ...(controllers.includes('pids') && { processes: await number('pids.current') }),
      ...(cpu !== '' && { cpuSeconds: counterIn(cpu, 'usage_usec') / 1e6 }),
    }
  },
}

/** Rounds of moving processes that may just have forked. */
const moveRoundsMax = 10

/**
 * Lets groups below the server's own have these controllers. The kernel refuses that to a group
 * with processes, other than the root, so all of them move into a leaf beside the sessions' groups:
 * what was started with the server (its database) is in the same group of its unit or container.
 * Resolves with the controllers that groups below now have; rejects with the kernel's refusal.
 */
export async function delegate(
  { own, controllers }: Hierarchy,
  files: CgroupFiles,
): Promise<Controller[]> {
  const enabledFile = join(own, 'cgroup.subtree_control')
  const isEnabled = async (): Promise<Controller[]> => {
    const enabled = (await files.read(enabledFile)).trim().split(' ')
    return controllers.filter((name) => enabled.includes(name))
  }
  if ((await isEnabled()).length === controllers.length) return [...controllers]
  // Only the root of all has no type.
  const isRoot = await files.read(join(own, 'cgroup.type')).then(
    () => false,
    () => true,
  )
  if (!isRoot) await moveToLeaf(own, files)
  for (const name of controllers) await files.write(enabledFile, `+${name}`)
  return isEnabled()
}

async function moveToLeaf(own: string, files: CgroupFiles): Promise<void> {
  const leaf = join(own, serverLeaf)
  await files.mkdir(leaf).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
  for (let round = 0; round < moveRoundsMax; round += 1) {
    const pids = (await files.read(join(own, 'cgroup.procs'))).split('\n').filter(Boolean)
    if (pids.length === 0) return
    for (const pid of pids) {
      await files.write(join(leaf, 'cgroup.procs'), pid).catch((error: unknown) => {
        if (codeOf(error) !== 'ESRCH') throw error
      })
    }
  }
}
