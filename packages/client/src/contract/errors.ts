import { z } from 'zod'
import { approval } from './approvals.ts'

/** What kind of error it is; the same words as the Managed Agents API. */
const errorType = z.enum([
  'invalid_request_error',
  'authentication_error',
  'billing_error',
  'permission_error',
  'not_found_error',
  'request_too_large',
  'rate_limit_error',
  'api_error',
  'timeout_error',
  'overloaded_error',
])
export type ErrorType = z.infer<typeof errorType>

/** One bad field: where it is (`setup.2`, `limit`; empty: the whole input), and what is wrong. */
const fieldError = z.object({ field: z.string(), message: z.string() }).meta({ id: 'FieldError' })
export type FieldError = z.infer<typeof fieldError>

/** The one error envelope, of every route and every status from 400 on. */
export const errorBody = z
  .object({
    type: z.literal('error'),
    error: z.object({
      type: errorType,
      message: z.string(),
      details: z
        .object({
          error_code: z.string().optional(),
          fields: z.array(fieldError).optional(),
          approval: approval.optional().describe('Of already_decided: what was decided.'),
        })
        .optional(),
    }),
    request_id: z.string(),
  })
  .meta({ id: 'Error' })
export type ErrorBody = z.infer<typeof errorBody>

/**
 * Bad fields named in one answer, at most: every entry of an order's seven lists, which hold 130, every
 * field of its own and some unknown ones.
 */
const fieldsMax = 200

/**
 * Every problem of a refused input, one field each: what was expected and what came. `input` is
 * what was parsed; credentials in URLs are masked before they are repeated. Of more than can be
 * named, the last entry, of the whole input, says how many. `scrub` takes secrets out of each text
 * while it is whole: what is repeated of a long one may end within a secret.
 */
export function fieldErrors(
  error: z.ZodError,
  input: unknown,
  scrub: (text: string) => string = (text) => text,
): FieldError[] {
  const problems = meant(error.issues).flatMap(problemsOf)
  const named = problems.slice(0, fieldsMax).map(({ path, says }) => ({
    field: nameOf(path, scrub),
    message: `${says}, got ${shown(valueAt(input, path), scrub)}`,
  }))
  const more = problems.length - named.length
  if (more > 0) named.push({ field: '', message: `${more} more bad fields are not named here` })
  return named
}

interface Problem {
  readonly path: readonly PropertyKey[]
  readonly says: string
}

function problemsOf(issue: z.core.$ZodIssue): Problem[] {
  const { path } = issue
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], says: 'unknown field' }))
  return [{ path, says: expectedBy(issue) }]
}

/**
 * Of a union, the problems of the one form that was meant: of `{id: 7}` those of the object, not that
 * it is no string.
 */
function meant(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union') return [issue]
    const forms = issue.errors.filter(
      (form) => !form.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
    )
    const [form] = forms
    if (form === undefined || forms.length > 1) return [issue]
    return meant(form.map((one) => ({ ...one, path: [...issue.path, ...one.path] })))
  })
}

function expectedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${typeNames[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `expected one of ${issue.values.map((value) => String(value)).join(', ')}`
    case 'too_big':
      return `expected at most ${issue.maximum}${unitOf(issue.origin, issue.maximum)}`
    case 'too_small':
      return `expected ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin, issue.minimum)}`
    case 'invalid_format':
    case 'custom':
      return issue.message
    case 'invalid_union':
      return issue.message.startsWith('expected') ? issue.message : `expected a valid value`
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return `expected a valid value (${issue.message})`
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  boolean: 'true or false',
}

function unitOf(origin: string, count: number | bigint): string {
  if (origin === 'string') return Number(count) === 1 ? ' character' : ' characters'
  if (origin === 'array') return Number(count) === 1 ? ' entry' : ' entries'
  return ''
}

function nameOf(path: readonly PropertyKey[], scrub: (text: string) => string): string {
  return path.map((part) => cut(scrub(String(part)))).join('.')
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const part of path) {
    // A query's list of one entry comes as that entry.
    if (typeof value === 'string' && part === 0) continue
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = Reflect.get(value, part)
  }
  return value
}

/** What came, short enough for a sentence: `"text…" (2,049 characters)`, `an array of 21`, `4`. */
function shown(value: unknown, scrub: (text: string) => string): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value !== 'string') return String(value)
  const masked = value.replace(/:\/\/[^/@\s]*@/g, '://***@')
  const length = value.length > shownMax ? ` (${value.length} characters)` : ''
  return `${JSON.stringify(cut(scrub(masked)))}${length}`
}

/** Characters of a refused value or name that an error repeats. */
const shownMax = 80

function cut(value: string): string {
  return value.length > shownMax ? `${value.slice(0, shownMax)}…` : value
}
