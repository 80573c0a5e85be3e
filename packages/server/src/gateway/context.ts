import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { PriceTable } from '../prices/price-table.ts'
import type { SessionAnswers } from './answers.ts'
import type { SessionBodies } from './bodies.ts'
import type { Breaker } from './breaker.ts'
import type { ExchangeRecord } from './exchange-record.ts'
import type { Meter } from './meter.ts'
import type { GatewayHooks, GatewayPolicy } from './policy.ts'
import type { Lookup } from './resolve.ts'
import type { TinyPieces } from './tiny-pieces.ts'

/** What a route works with: its gateway's, and of this request. */
export interface RouteContext {
  readonly policy: GatewayPolicy
  readonly hooks: GatewayHooks
  readonly meter: Meter
  readonly prices: PriceTable
  /** Asks for the right to spend what the session shares with others; absent: it shares nothing. */
  readonly allow?: Meter['admit']
  /** Of the model's credential. */
  readonly breaker: Pick<Breaker, 'ask' | 'look' | 'limited' | 'answered' | 'missed'>
  /** What its requests have in memory. */
  readonly bodies: SessionBodies
  /** What its requests are answered, where that is searched for secrets. */
  readonly answers: SessionAnswers
  /** What hosts answer that the sandbox chose. */
  readonly answerPieces: TinyPieces
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  /** Shared with other sessions; rejects with TooManyLookups, too. */
  readonly lookup: Lookup
  /** Aborts when the gateway closes. */
  readonly signal: AbortSignal
  /** What becomes of this request or tunnel. */
  readonly record: ExchangeRecord
}

/** What an entry says of a request that was denied: its method and path. */
export function askedOf({ method = '', url = '' }: IncomingMessage): string {
  return `${method} ${url}`
}
