import type { IncomingMessage } from 'node:http'
import type { Metrics } from '../metrics.ts'
import type { PriceTable } from '../prices/price-table.ts'
import type { Reading } from './usage.ts'

interface Counting {
  readonly metrics: Metrics
  readonly prices: PriceTable
}

/** One request that was forwarded, and what became of it. */
export function countRequest(
  { metrics, prices }: Counting,
  { model, answer }: { model: string; answer: IncomingMessage | 'cut' | 'failed' },
): void {
  const status =
    answer === 'cut' ? 'cut' : answer === 'failed' ? 'unreachable' : (answer.statusCode ?? 502)
  metrics.modelRequests.inc({ model: prices.listedName(model), status })
}

/** What one answer used. */
export function countUsage(
  { metrics, prices }: Counting,
  { model: said, usage, costUsd }: Reading,
): void {
  const model = prices.listedName(said)
  metrics.modelTokens.inc({ model, kind: 'input' }, usage.input_tokens)
  metrics.modelTokens.inc({ model, kind: 'output' }, usage.output_tokens)
  metrics.modelTokens.inc({ model, kind: 'cache_read' }, usage.cache_read_input_tokens)
  metrics.modelTokens.inc({ model, kind: 'cache_creation' }, usage.cache_creation_input_tokens)
  metrics.modelCost.inc({ model }, costUsd)
}
