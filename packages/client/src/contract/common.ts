import { z } from 'zod'

/** Crockford base32 in lower case, 26 digits: the 128 bits of a UUID v7. */
const idDigits = '[0-9a-hjkmnp-tv-z]{26}'

/** An id of one kind, `<prefix>_<26 digits>`. */
function idOf(prefix: string, example: string) {
  return z
    .string()
    .regex(new RegExp(`^${prefix}_${idDigits}$`), `expected ${prefix}_ and 26 letters or digits`)
    .meta({ example: `${prefix}_${example}` })
}

export const taskId = idOf('task', '01kaw3n6hvf2zt5e8q4w9rxm7c')
export const agentId = idOf('agent', '01kaw3n6hzf8r2c5m7t9w4ybdg')
export const sessionId = idOf('sesn', '01kaw3n6hwetmv0q6j2r8d5yba')
export const artifactId = idOf('art', '01kaw3n6hyk2r7w0c5d8m4xzqe')
export const environmentId = idOf('env', '01kaw3n6hzt6k9w3c7v2x5m8qd')
export const approvalId = idOf('appr', '01kaw3n6hzs3m8x2q7v5t9d4kc')
export const keyId = idOf('key', '01kaw3n6hzk5p8v2x7m3q9t4wd')
export const scheduleId = idOf('sched', '01kaw3n6hzm8k3v9x5t2q7w4cd')
export const workerId = idOf('worker', '01kaw3n6hzw5t8x2v7q4c9m3bd')
export const repositoryId = idOf('repo', '01kaw3n6hzq4t7w9x2c5v8b1nd')
export const endpointId = idOf('endp', '01kaw3n6hzr5m9x3q8w2t6d1vb')
/** Of a callback that is not the task's first, with its number behind. */
export const deliveryId = z
  .string()
  .regex(new RegExp(`^dlv_${idDigits}(_[0-9]{1,9})?$`), 'expected dlv_ and 26 letters or digits')
  .meta({ example: 'dlv_01kaw3n6hzv7p1y5r9x4t8f3wc' })

/** RFC 3339 in UTC, milliseconds, as `/v1` writes times. */
export const timestamp = z.string().meta({ format: 'date-time' })

/** Milliseconds since the epoch, as `/api/workflows` writes times. */
export const epochMs = z.int().nonnegative()

const concurrencyMax = 100_000

const budgetUsdMax = 10_000
/** What a task may cost, in US dollars. */
export const budgetUsd = z.number().gt(0).max(budgetUsdMax)

/** Tasks that may run at once; null: no limit of its own. */
export const concurrencyLimit = z.int().min(1).max(concurrencyMax).nullable()

/** US dollars; an estimate from the server's dated price table. */
export const usd = z.number().nonnegative()

/** Rows in one page, at most; the default is `pageDefault`. */
export const pageMax = 100
export const pageDefault = 20

/** Wraps one page of rows; `next_page` goes into the query's `page`, null at the end. */
export function pageOf<T extends z.ZodType>(id: string, row: T) {
  return z.object({ data: z.array(row), next_page: z.string().nullable() }).meta({ id })
}

/** What a list has on all of its pages together, counted with the page. */
/** Counting goes no further: it would take longer than the page. */
export const totalMax = 1000
export const total = z
  .int()
  .nonnegative()
  .max(totalMax)
  .describe(`How many there are on all pages together; ${totalMax} stands for that many or more.`)

/** A whole number in a query string, from `min` to `max`. */
export function countParam(min: number, max: number) {
  const expected = `expected a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,15}$/, expected)
    .transform(Number)
    .refine((value) => value >= min && value <= max, expected)
}

/** A list in a query string, `name[]=a&name[]=b`; one entry alone comes as itself. */
export function listParam<T extends z.ZodType>(entry: T, max: number) {
  const listed = (given: unknown): unknown => (typeof given === 'string' ? [given] : given)
  return z.preprocess(listed, z.array(entry).max(max)).optional()
}

/**
 * Text for people or for a shell: 1 to `max` UTF-16 units, not blank, without NUL or half a
 * surrogate pair, neither of which the store, a file or an argument can hold.
 */
export function text(max: number) {
  return z
    .string()
    .min(1)
    .max(max)
    .refine((value) => value.trim() !== '', {
      error: 'expected text that is not blank',
      when: isFineSoFar,
    })
    .refine(isStorable, {
      error: 'expected text without NUL and unpaired surrogates',
      when: isFineSoFar,
    })
}

/** Nesting of a free JSON value, at most: deeper ones break naive readers down the line. */
const jsonDepthMax = 32

/** A problem of a free JSON value as `expected …`, or null: too big in UTF-8, too deep, unstorable. */
export function jsonProblem(value: unknown, bytesMax: number): string | null {
  const waiting: { value: unknown; depth: number }[] = [{ value, depth: 1 }]
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    if (next.depth > jsonDepthMax) return `expected JSON of at most ${jsonDepthMax} levels`
    if (typeof next.value === 'string' && !isStorable(next.value))
      return 'expected JSON without NUL and unpaired surrogates'
    // 1e999 is read as Infinity, and would be written as null.
    if (typeof next.value === 'number' && !Number.isFinite(next.value))
      return 'expected JSON with numbers that a double can hold'
    if (typeof next.value !== 'object' || next.value === null) continue
    for (const [key, inner] of Object.entries(next.value)) {
      waiting.push({ value: key, depth: next.depth }, { value: inner, depth: next.depth + 1 })
    }
  }
  const bytes = new TextEncoder().encode(JSON.stringify(value)).length
  return bytes > bytesMax ? `expected at most ${bytesMax} bytes of JSON, not ${bytes}` : null
}

/** A check that keeps its `expected …` sentence: zod reports what `problem` returns. */
export function check<T>(problem: (value: T) => string | null) {
  return (value: T, context: z.RefinementCtx): void => {
    const message = problem(value)
    if (message !== null) context.addIssue({ code: 'custom', message })
  }
}

export function isStorable(value: string): boolean {
  return !value.includes('\0') && value.isWellFormed()
}

/** Skips what need not be checked, nor said, of a value that failed an earlier check. */
export function isFineSoFar(payload: z.core.ParsePayload): boolean {
  return payload.issues.length === 0
}
