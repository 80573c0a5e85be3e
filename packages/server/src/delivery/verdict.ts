import { type DeliveryPatch, sentOnce } from '../store/deliveries.ts'
import type { DeliveryRow } from '../store/tables.ts'
import type { PostOutcome } from './post.ts'
import { nextTryAt } from './retries.ts'

/** What a try means for its delivery. */
export interface Verdict {
  readonly outcome: 'delivered' | 'retried' | 'dead'
  readonly patch: DeliveryPatch
  /** The receiver wants nothing more. */
  readonly gone: boolean
}

/** Characters of an answer in the reason of a failure; the log of the try has more. */
const quotedCharsMax = 1000

/** Any 2xx is a delivery; 410 wants no more; everything else, redirects too, is tried again. */
export function judge(row: DeliveryRow, outcome: PostOutcome, now: number): Verdict {
  const lastStatus = outcome.kind === 'answered' ? outcome.status : null
  if (lastStatus !== null && lastStatus >= 200 && lastStatus < 300) {
    const patch = { deliveredAt: new Date(now), nextTryAt: null, lastStatus, lastError: null }
    return { outcome: 'delivered', patch, gone: false }
  }
  const gone = lastStatus === 410
  const lastError = errorOf(outcome)
  const createdAt = row.queued_at.getTime()
  const isOver = gone || sentOnce.includes(row.type)
  const at = isOver ? null : nextTryAt({ id: row.id, tries: row.tries, createdAt, now })
  return at === null
    ? {
        ...{ outcome: 'dead', gone },
        patch: { gaveUpAt: new Date(now), nextTryAt: null, lastStatus, lastError },
      }
    : { outcome: 'retried', patch: { nextTryAt: new Date(at), lastStatus, lastError }, gone }
}

function errorOf(outcome: PostOutcome): string {
  if (outcome.kind === 'failed') return outcome.message
  if (outcome.status >= 300 && outcome.status < 400)
    return `HTTP ${outcome.status}: redirects are not followed`
  return `HTTP ${outcome.status}: ${outcome.body.slice(0, quotedCharsMax)}`.trim()
}
