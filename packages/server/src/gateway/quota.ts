import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'

/** A reset that is further away is a mistake of who wrote it: nobody waits for that. */
const resetMsMax = 366 * 24 * 3_600_000
/** A time to wait that ends so close to a named moment means that: both come in whole seconds. */
const sameMs = 60_000

/** A refusal of the provider, as far as it tells of a quota. */
interface Refusal {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** The body. */
  readonly said: string
  readonly now: number
}

/**
 * What a refusal says of the provider's quota: null if it is about something else; `reset`: when the
 * provider will answer again, in epoch milliseconds, null if it does not say; `isDate`: it named that
 * moment, and no time to wait. 429 and 529 are limits; a reached spending limit of an account or a
 * workspace (anthropics/claude-code#2127, #38035, #38038) and credit that is used up (#4207, #66314)
 * are told as 400, by their words alone.
 */
export function limitOf(
  refusal: Refusal,
): { readonly reset: number | null; readonly isDate: boolean } | null {
  const { status, headers, said, now } = refusal
  const message = messageIn(said)
  const words = usageLimit.exec(message)
  const isTold = status === 400 && (words !== null || creditUsedUp.test(message))
  if (status !== 429 && status !== 529 && !isTold) return null
  // `retry-after`: seconds, or a date; the unified reset of an account's windows: epoch seconds.
  const isReal = (time: number): boolean => time > now && time - now <= resetMsMax
  const waits = [
    now + numberIn(headers['retry-after-ms']),
    now + numberIn(headers['retry-after']) * 1000,
  ].filter(isReal)
  const dates = [
    dateIn(headers['retry-after']),
    numberIn(headers['anthropic-ratelimit-unified-reset']) * 1000,
    words === null ? Number.NaN : momentOf(words),
  ].filter(isReal)
  if (waits.length + dates.length === 0) return { reset: null, isDate: false }
  const reset = Math.max(...waits, ...dates)
  return { reset, isDate: reset - Math.max(...dates) <= sameMs }
}

/**
 * From the first word to the last, as the API writes it: an error that repeats what the request said
 * begins otherwise.
 */
const usageLimit =
  /^You have reached your specified (?:[a-z]{1,20} )?API usage limits\.(?: You will regain access on (\d{4}-\d\d-\d\d) at (\d\d:\d\d) UTC\.?$)?/

const creditUsedUp = /^Your credit balance is too low to access the [A-Z][a-z]{1,20} API\./

/** A day or an hour that does not exist is none: `Date.parse` would take some of them for another. */
function momentOf([, day, time]: RegExpExecArray): number {
  if (day === undefined) return Number.NaN
  const at = Date.parse(`${day}T${time}:00Z`)
  const isReal = Number.isFinite(at) && new Date(at).toISOString().startsWith(`${day}T${time}:`)
  return isReal ? at : Number.NaN
}

function messageIn(said: string): string {
  try {
    return refusalBody.safeParse(JSON.parse(said)).data?.error.message ?? ''
  } catch {
    // What is not JSON is not the API's.
    return ''
  }
}

const refusalBody = z.object({ error: z.object({ message: z.string() }) })

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
