import type { IncomingMessage } from 'node:http'
import type { Metrics } from '../metrics.ts'
import { listedName } from './prices.ts'
import type { Reading } from './usage.ts'

/** One request that was forwarded, and what became of it. */
export function countRequest(
  metrics: Metrics,
  { model, answer }: { model: string; answer: IncomingMessage | 'cut' | 'failed' },
): void {
  const status =
    answer === 'cut' ? 'cut' : answer === 'failed' ? 'unreachable' : (answer.statusCode ?? 502)
  metrics.modelRequests.inc({ model: listedName(model), status })
}

/** What one answer used. */
export function countUsage(metrics: Metrics, { model: said, usage, costUsd }: Reading): void {
  const model = listedName(said)
  metrics.modelTokens.inc({ model, kind: 'input' }, usage.input_tokens)
  metrics.modelTokens.inc({ model, kind: 'output' }, usage.output_tokens)
  metrics.modelTokens.inc({ model, kind: 'cache_read' }, usage.cache_read_input_tokens)
  metrics.modelTokens.inc({ model, kind: 'cache_creation' }, usage.cache_creation_input_tokens)
  metrics.modelCost.inc({ model }, costUsd)
}
