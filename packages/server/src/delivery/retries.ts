import { createHash } from 'node:crypto'

/** Milliseconds between the first tries of a delivery; later ones are an hour apart. */
const firstDelaysMs = [5_000, 30_000, 120_000, 600_000, 1_800_000]
const laterDelayMs = 3_600_000
/** The longest wait between two tries. */
export const retryMsMax = laterDelayMs
/** From the moment that the delivery was written; then it is given up. */
const deliveryAgeMsMax = 24 * 3_600_000

/** Each wait is shorter by up to this part: what failed together does not come back together. */
const jitterMax = 0.1

/** When to try again after the `tries`-th try failed; null: give up. All in epoch milliseconds. */
export function nextTryAt(o: {
  readonly id: string
  readonly tries: number
  readonly createdAt: number
  readonly now: number
}): number | null {
  const waitMs = (firstDelaysMs[o.tries - 1] ?? laterDelayMs) * (1 - jitterOf(o))
  const at = o.now + Math.round(waitMs)
  return at > o.createdAt + deliveryAgeMsMax ? null : at
}

/** The same for a try of a delivery each time, and another one for each. */
function jitterOf({ id, tries }: { readonly id: string; readonly tries: number }): number {
  const hash = createHash('sha256').update(`${id} ${tries}`).digest()
  return (hash.readUInt32BE(0) / 2 ** 32) * jitterMax
}
