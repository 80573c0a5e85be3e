/** A limit of a sandbox that something inside ran into; the words are those of a task's reasons. */
export type Exhausted = 'out_of_memory' | 'too_many_processes' | 'disk_full'

/** Why a disk counts as full: its own bound, a count that fails, or the host's disk, which others fill, too. */
export type DiskCause = 'bound' | 'count' | 'host'

/** How often each limit was hit since the sandbox was opened; the numbers only grow. */
export type LimitHits = Readonly<Record<Exhausted, number>>

export const noHits: LimitHits = {
  out_of_memory: 0,
  too_many_processes: 0,
  disk_full: 0,
}

/** The limit that was hit between two counts; of several, the one that explains the others. */
export function firstHit(after: LimitHits, before: LimitHits = noHits): Exhausted | null {
  const order = ['out_of_memory', 'too_many_processes', 'disk_full'] as const
  return order.find((name) => after[name] > before[name]) ?? null
}

export function addHits(a: LimitHits, b: LimitHits): LimitHits {
  return {
    out_of_memory: a.out_of_memory + b.out_of_memory,
    too_many_processes: a.too_many_processes + b.too_many_processes,
    disk_full: a.disk_full + b.disk_full,
  }
}
