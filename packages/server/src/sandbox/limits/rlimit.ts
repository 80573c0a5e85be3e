import type { SandboxLimits } from '../driver.ts'

/**
 * What one process may take beyond its session's limit before the kernel refuses it more: the
 * watchdog is to see it first, and RLIMIT_DATA counts memory that is only reserved, too. claude
 * works with 2 GiB, and node gets two thirds of it (measured).
 */
const dataFactor = 2
const dataBytesMin = 2 * 1024 ** 3

/**
 * Options of `prlimit` for a start. Never RLIMIT_AS: WebAssembly in node fails below any value of
 * it (measured), because it reserves address space that it never uses. Processes are counted by
 * uid, so only a uid that is the session's alone can have that limit.
 */
export function rlimitOptions(o: {
  readonly limits: SandboxLimits
  readonly ownUid: boolean
  /** What no control group holds. */
  readonly byRlimit: { readonly memory: boolean; readonly processes: boolean }
}): string[] {
  const { openFiles, fileBytes, processes, memoryBytes } = o.limits
  const data = Math.max(dataBytesMin, memoryBytes * dataFactor)
  return [
    '--core=0:0',
    `--nofile=${openFiles}:${openFiles}`,
    `--fsize=${fileBytes}:${fileBytes}`,
    ...(o.byRlimit.memory ? [`--data=${data}:${data}`] : []),
    ...(o.byRlimit.processes && o.ownUid ? [`--nproc=${processes}:${processes}`] : []),
  ]
}
