import { disableEndpoint, noteArrival, noteFailure } from '../store/endpoints.ts'
import type { Trx } from '../store/tables.ts'
import type { Verdict } from './verdict.ts'

/**
 * An endpoint at which nothing has arrived for so long, and that so many deliveries were given up for,
 * is disabled. The time is Svix's, beyond a long weekend (Stripe waits about nine days, Ironclad seven);
 * the number keeps an endpoint that is told little from being given up for one delivery that it refuses.
 */
const failingMsMax = 5 * 24 * 3_600_000
const deadLettersMin = 10

/**
 * Writes down what a try says about its endpoint, before what it says about its delivery: the endpoint
 * is locked first, as everywhere. True: it was disabled, since everything has failed for too long.
 */
export async function judgeEndpoint(
  trx: Trx,
  o: {
    readonly id: string
    readonly event: string
    readonly verdict: Pick<Verdict, 'outcome' | 'gone'>
    readonly now: Date
  },
): Promise<boolean> {
  const { id, event, verdict, now } = o
  const { outcome, gone } = verdict
  if (outcome === 'delivered') {
    await noteArrival(trx, id)
    return false
  }
  if (gone) {
    await disableEndpoint(trx, { id, reason: 'gone', now })
    return false
  }
  // Whoever mends a receiver tries it out: their tests tell nothing about the tasks.
  const isDead = outcome === 'dead' && event !== 'endpoint.test'
  const failing = await noteFailure(trx, { id, isDead, now })
  if (failing === undefined || failing.disabled_at !== null) return false
  const { failing_since: since, dead_letters: deadLetters } = failing
  const isHopeless = since !== null && now.getTime() - since.getTime() >= failingMsMax
  if (!isHopeless || deadLetters < deadLettersMin) return false
  await disableEndpoint(trx, { id, reason: 'failing', now })
  return true
}
