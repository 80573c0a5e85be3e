import type { SandboxLimits } from '../driver.ts'
import type { Exhausted } from './hits.ts'

/** What it means that a limit was hit, with its number. */
export function sentenceOf(exhausted: Exhausted, limits: SandboxLimits): string {
  switch (exhausted) {
    case 'out_of_memory': {
      const mebibytes = Math.round(limits.memoryBytes / 1024 ** 2)
      return `The sandbox ran out of memory: everything in it together may take ${mebibytes} MiB, and what wanted more was killed.`
    }
    case 'too_many_processes':
      return `The sandbox reached its limit of ${limits.processes} processes and threads, and could start no more.`
    case 'disk_full': {
      const mebibytes = Math.round(limits.diskBytes / 1024 ** 2)
      const ofTmp = Math.round(limits.tmpBytes / 1024 ** 2)
      return `The sandbox's disk is full: its clone, packages and caches together may take ${mebibytes} MiB, its /tmp may take ${ofTmp} MiB.`
    }
  }
}
