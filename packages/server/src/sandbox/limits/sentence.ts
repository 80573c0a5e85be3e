import type { Sandbox, SandboxLimits } from '../driver.ts'
import type { DiskCause, Exhausted } from './hits.ts'

/** What it means that a limit was hit, with its number. */
export function sentenceOf(
  exhausted: Exhausted,
  sandbox: Pick<Sandbox, 'limits' | 'diskCause'>,
): string {
  const { limits } = sandbox
  switch (exhausted) {
    case 'out_of_memory': {
      const mebibytes = Math.round(limits.memoryBytes / 1024 ** 2)
      return `The sandbox ran out of memory: everything in it together may take ${mebibytes} MiB, and what wanted more was killed.`
    }
    case 'too_many_processes':
      return `The sandbox reached its limit of ${limits.processes} processes and threads, and could start no more.`
    case 'disk_full':
      return diskSentenceOf(sandbox.diskCause(), limits)
  }
}

function diskSentenceOf(cause: DiskCause, limits: SandboxLimits): string {
  switch (cause) {
    case 'bound': {
      const mebibytes = Math.round(limits.diskBytes / 1024 ** 2)
      const ofTmp = Math.round(limits.tmpBytes / 1024 ** 2)
      return `The sandbox's disk is full: its clone, packages and caches together may take ${mebibytes} MiB, its /tmp may take ${ofTmp} MiB.`
    }
    case 'count':
      return 'What the sandbox takes of the disk could not be counted three times in a row, and what ran in it was ended: it may leave no process for the count, or have too much open.'
    case 'host':
      return 'The disk of the server’s data directory is almost full, whoever filled it, and what ran in the sandbox was ended before nothing is left.'
  }
}
