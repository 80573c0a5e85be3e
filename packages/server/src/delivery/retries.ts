/** Milliseconds between the first tries of a delivery; later ones are an hour apart. */
const firstDelaysMs = [5_000, 30_000, 120_000, 600_000, 1_800_000]
const laterDelayMs = 3_600_000
/** From the moment that the delivery was written; then it is given up. */
const deliveryAgeMsMax = 24 * 3_600_000

/** When to try again after the `tries`-th try failed; null: give up. All in epoch milliseconds. */
export function nextTryAt(o: {
  readonly tries: number
  readonly createdAt: number
  readonly now: number
}): number | null {
  const at = o.now + (firstDelaysMs[o.tries - 1] ?? laterDelayMs)
  return at > o.createdAt + deliveryAgeMsMax ? null : at
}
