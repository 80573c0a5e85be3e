import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import type { Clock } from '../clock.ts'
import { killMs } from './limits.ts'

/** A process that cannot be mistaken for a later one with its number. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from boot to its start. */
  readonly startTime: string
}

/** Who has this number now; null when nobody lives there (a zombie does not). */
export function identify(pid: number): ProcessIdentity | null {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null // No such process.
  }
  // The name in brackets may hold anything; the fields after it do not.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state = 'X', threads, startTime = ''] = [fields[0], fields[17], fields[19]]
  return isGone({ state, threads: Number(threads) }) ? null : { pid, startTime }
}

/** Whether a process is: one whose first thread has exited has its state, too, while others go on. */
export function isGone(o: { readonly state: string; readonly threads: number }): boolean {
  return o.state === 'X' || (o.state === 'Z' && o.threads <= 1)
}

/**
 * A file of a process's directory; that of another of its threads where the first has exited, which
 * shows nothing then. Empty: it is gone, or another user's.
 */
export async function readOfProcess(pid: number | string, name: string): Promise<string> {
  const own = await readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')
  if (own !== '' && !exited.test(own)) return own
  for (const thread of await threadsOf(pid)) {
    const text = await readFile(`${thread}/${name}`, 'utf8').catch(() => '')
    if (text !== '' && !exited.test(text)) return text
  }
  return own
}

/** Directories of its threads, the first among them. */
export async function threadsOf(pid: number | string): Promise<string[]> {
  const directory = `/proc/${pid}/task`
  const names = await readdir(directory).catch(() => []) // Gone meanwhile.
  return names.map((name) => `${directory}/${name}`)
}

/** Of a status. */
export const exited = /^State:\t[ZX]/m

function isAlive(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime
}

/** SIGKILL to exactly this process. */
export function killIfAlive(target: ProcessIdentity): void {
  if (isAlive(target)) signalProcess(target.pid, 'SIGKILL')
}

/** Sends a signal to a process, or to a group by its negative number; one that is gone is fine. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/**
 * Resolves once none of them lives; rejects after `killMs`. When the first process of a pid
 * namespace is gone, so are all the others: the kernel reaps them before it.
 */
export async function untilGone(o: {
  readonly processes: readonly ProcessIdentity[]
  readonly clock: Clock
}): Promise<void> {
  const deadline = o.clock.now() + killMs
  while (o.processes.some(isAlive)) {
    if (o.clock.now() > deadline) {
      const pids = o.processes.filter(isAlive).map(({ pid }) => pid)
      throw new Error(`processes outlive SIGKILL by ${killMs} ms: ${pids.join(', ')}`)
    }
    await o.clock.sleep(1)
  }
}

/** Kills what `find` returns until it returns nothing: killed processes may just have forked. */
export async function killEvery(o: {
  readonly find: () => Promise<ProcessIdentity[]>
  readonly clock: Clock
}): Promise<number> {
  const deadline = o.clock.now() + killMs
  let killed = 0
  for (;;) {
    const found = await o.find()
    if (found.length === 0) return killed
    if (o.clock.now() > deadline)
      throw new Error(`processes outlive SIGKILL by ${killMs} ms: ${found.length}`)
    for (const process of found) killIfAlive(process)
    killed += found.length
    await untilGone({ processes: found, clock: o.clock })
  }
}

/**
 * What runs with a real uid and inside a sandbox that has something mounted at `mounted`, or, when
 * that ends with a slash, at the `config` of one of its directories. The uid alone is not enough: a
 * server that is not root shares its own with everything, and servers that cannot see each other may
 * have one range. Each sandbox binds its session's directories at their own paths, which its mount
 * table therefore names. That of the host has only their disks.
 */
export async function sandboxedProcesses(o: {
  readonly uid: number
  readonly mounted: string
}): Promise<ProcessIdentity[]> {
  return matchingProcesses(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    if (!status.includes(`\nUid:\t${o.uid}\t`)) return false
    return isMounted(await readOfProcess(pid, 'mountinfo'), o.mounted)
  })
}

/** Whether a mount table has something at a path or, when that ends with a slash, as above. */
export function isMounted(mountinfo: string, mounted: string): boolean {
  const path = mountinfoPath(mounted)
  if (!path.endsWith('/')) return mountinfo.includes(` ${path} `)
  return mountinfo.split('\n').some((line) => {
    const point = line.split(' ')[4] ?? ''
    return point.startsWith(path) && point.endsWith('/config')
  })
}

/** What runs with `NAME=value` in the environment it was started with. */
export function processesWith(variable: string): Promise<ProcessIdentity[]> {
  return matchingProcesses(async (pid) =>
    (await readOfProcess(pid, 'environ')).split('\0').includes(variable),
  )
}

async function matchingProcesses(
  matches: (pid: number) => Promise<boolean>,
): Promise<ProcessIdentity[]> {
  const names = await readdir('/proc').catch(() => []) // No /proc: not Linux, nothing to find.
  const found = await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name) => {
        // Gone meanwhile, or of another user: not ours in either case.
        const ours = await matches(Number(name)).catch(() => false)
        return ours ? identify(Number(name)) : null
      }),
  )
  return found.filter((process) => process !== null)
}

/** The kernel writes blanks, tabs, newlines and backslashes of a path in octal. */
export function mountinfoPath(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`)
}
