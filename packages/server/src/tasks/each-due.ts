import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'

/** All rows of one list together, before the claim that comes after them. */
const passMsMax = 5000
/** Failures of one pass that the log tells. */
const toldMax = 10

/**
 * Does `go` for each row. One that cannot go on keeps neither the others from it nor the node from
 * claiming; those that fail slowly end the pass, and the rest follows a second later.
 */
export async function eachDue<Row>(
  rows: readonly Row[],
  go: (row: Row) => Promise<void>,
  o: { readonly clock: Clock; readonly log: Log; readonly what: string },
): Promise<void> {
  const { clock, log, what } = o
  const began = clock.elapsed()
  let failures = 0
  for (const row of rows) {
    try {
      await go(row)
    } catch (error) {
      failures += 1
      if (failures <= toldMax) log.error({ err: error, row }, `${what} could not go on`)
      if (clock.elapsed() - began > passMsMax) return
    }
  }
}
