/** What the kernel says of processes of this machine. */
import { readdirSync, readFileSync } from 'node:fs'

export function residentMb(pid: number): number {
  return megabytes(readFileSync(`/proc/${pid}/status`, 'utf8'), /^VmRSS:\s+(\d+) kB$/m)
}

export function proportionalMb(pid: number): number {
  return megabytes(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), /^Pss:\s+(\d+) kB$/m)
}

function megabytes(text: string, field: RegExp): number {
  return (Number(field.exec(text)?.[1]) * 1024) / 1e6
}

export function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

export function descendantsOf(pid: number): number[] {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
        return [{ pid: Number(name), parent }]
      } catch {
        return [] // Gone meanwhile.
      }
    })
  const below = (of: number): number[] =>
    parents.filter(({ parent }) => parent === of).flatMap(({ pid }) => [pid, ...below(pid)])
  return below(pid)
}

/** Seconds of processors that a process took, and those of its descendants, ended ones included. */
export function cpuSeconds(pid: number): { readonly own: number; readonly below: number } {
  const [own, ended] = timesOf(pid)
  const below = descendantsOf(pid).map(timesOf)
  return { own, below: ended + below.flat().reduce((a, b) => a + b, 0) }
}

/** Its own, and those of its children that have ended. */
function timesOf(pid: number): [own: number, ended: number] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(Number)
    return [(user + system) / ticksASecond, (endedUser + endedSystem) / ticksASecond]
  } catch {
    return [0, 0] // Gone meanwhile: its parent has them.
  }
}

/** The kernel's unit of them, on every Linux. */
const ticksASecond = 100
