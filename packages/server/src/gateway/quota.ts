import type { IncomingHttpHeaders } from 'node:http'

/** Answers by which a provider says: not now. */
export function isLimited(status: number): boolean {
  return status === 429 || status === 529
}

/**
 * When the provider will answer again, in epoch milliseconds, as far as a limited answer says:
 * `retry-after` (seconds, or a date) and `retry-after-ms`; of an account's usage limit also
 * `anthropic-ratelimit-unified-reset` (epoch seconds). The latest counts; null: it does not say.
 */
export function resetOf(headers: IncomingHttpHeaders, now: number): number | null {
  const times = [
    now + numberIn(headers['retry-after-ms']),
    now + numberIn(headers['retry-after']) * 1000,
    dateIn(headers['retry-after']),
    numberIn(headers['anthropic-ratelimit-unified-reset']) * 1000,
  ].filter((time) => Number.isFinite(time) && time > now)
  return times.length === 0 ? null : Math.max(...times)
}

function numberIn(value: string | string[] | undefined): number {
  const text = wordIn(value)
  return /^\d{1,12}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN
}

/** Of a number `Date.parse` would make a year. */
function dateIn(value: string | string[] | undefined): number {
  const text = wordIn(value)
  return /^[A-Z][a-z]{2}, /.test(text) ? Date.parse(text) : Number.NaN
}

function wordIn(value: string | string[] | undefined): string {
  return typeof value === 'string' ? value.trim() : ''
}
