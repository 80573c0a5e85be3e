import type { z } from 'zod'

/** One thing that is wrong in the file, and where. */
export interface Mistake {
  readonly path: readonly PropertyKey[]
  /** Begins with "expected". */
  readonly expected: string
  /** What was there instead; default: the value at the path. */
  readonly came?: string
}

/** Characters of a wrong value that are repeated. */
const shownCharsMax = 60

/** One sentence a mistake: `tools[2].http.url: expected …, came ….` */
export function sentences(mistakes: readonly Mistake[], file: unknown): string[] {
  return mistakes.map(({ path, expected, came }) => {
    const place = path.length === 0 ? 'the file' : placeOf(path)
    return `${place}: ${expected}, came ${came ?? shown(valueAt(file, path), path)}.`
  })
}

/** What zod found, in our words. */
export function mistakesOf(error: z.ZodError): Mistake[] {
  return error.issues.flatMap((issue): Mistake[] => {
    if (issue.code !== 'unrecognized_keys')
      return [{ path: issue.path, expected: expectedBy(issue) }]
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      expected: 'expected no field of this name',
    }))
  })
}

function expectedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${withArticle(issue.expected)}`
    case 'too_small':
      return `expected ${countOf(issue.origin, 'at least', issue.minimum)}`
    case 'too_big':
      return `expected ${countOf(issue.origin, 'at most', issue.maximum)}`
    case 'invalid_value':
      return issue.message.startsWith('expected')
        ? issue.message
        : `expected ${issue.values.map(String).join(' or ')}`
    case 'invalid_key':
      return issue.issues[0]?.message ?? 'expected another name'
    // The schema's own words.
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'invalid_union':
    case 'not_multiple_of':
    case 'unrecognized_keys':
      return issue.message
  }
}

function countOf(origin: string, atWhich: string, count: number | bigint): string {
  if (origin === 'string') return `${atWhich} ${count} character${count === 1 ? '' : 's'}`
  if (origin === 'array') return `${atWhich} ${count} item${count === 1 ? '' : 's'}`
  return `a number of ${atWhich} ${count}`
}

function withArticle(type: string): string {
  const words: Record<string, string> = {
    string: 'a text',
    array: 'a list',
    object: 'an object',
    record: 'an object',
    int: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
  }
  return words[type] ?? type
}

function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '')
}

function valueAt(file: unknown, path: readonly PropertyKey[]): unknown {
  let value = file
  for (const key of path) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  }
  return value
}

/** These may hold a secret that was put in the wrong place: it is not repeated. */
const guarded = ['headers', 'secret_headers', 'env', 'token', 'private_key', 'prefix', 'value']

function shown(value: unknown, path: readonly PropertyKey[]): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  const isGuarded = path.some((key) => guarded.includes(String(key)))
  if (typeof value === 'string' && isGuarded) return `a text of ${value.length} characters`
  const text = JSON.stringify(value)
  return text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}…` : text
}
