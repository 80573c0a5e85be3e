import type { Clock } from '../clock.ts'
import type { Metrics } from '../metrics.ts'
import { countWaiting } from '../store/delivery-log.ts'
import type { Db } from '../store/tables.ts'

/** Looks at what waits for delivery on all nodes together and says so in the metrics. */
export async function measureDeliveries(
  db: Db,
  { metrics, clock }: { readonly metrics: Metrics; readonly clock: Clock },
): Promise<void> {
  const { count, oldest } = await countWaiting(db)
  metrics.deliveriesWaiting.set(count)
  const age = oldest === null ? 0 : Math.max(0, (clock.now() - oldest.getTime()) / 1000)
  metrics.deliveriesOldestAge.set(age)
}
