/** One figure of the benchmark: how it is measured, and what it has to be. */
export interface Entry {
  readonly name: string
  /** One sentence: what the figure is. */
  readonly what: string
  readonly unit: 'ratio' | 'ms' | 'µs' | 'MB' | 'per second' | 'processes'
  readonly aim: { readonly atMost: number } | { readonly atLeast: number }
}

/** Entries that are measured together, because they need the same things running. */
export interface Bench {
  readonly entries: readonly Entry[]
  /** Too long to be measured with the others: only when it is asked for. */
  readonly onRequest?: boolean
  /**
   * The figure of each entry, by its name. `size`, of those that fill a store: the share of what they
   * are meant to put in, 1 where it counts.
   */
  measure(signal: AbortSignal, size: number): Promise<Readonly<Record<string, number>>>
}

/** Whether a figure is as it has to be. */
export function holds({ aim }: Entry, value: number): boolean {
  return 'atMost' in aim ? value <= aim.atMost : value >= aim.atLeast
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The smallest value that a share of `q` of all values does not exceed. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)]
  if (value === undefined) throw new Error('nothing was measured')
  return value
}
