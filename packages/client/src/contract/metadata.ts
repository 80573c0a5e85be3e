import { z } from 'zod'
import { check, isStorable } from './common.ts'

/** Pairs of one agent or environment, at most. */
export const metadataPairsMax = 16
const metadataKeyCharsMax = 64
/** Characters of a value, at most. */
export const metadataValueCharsMax = 512

/** The caller's own pairs, of an agent or an environment. */
export function metadata<T extends z.ZodType>(value: T) {
  const pairs = z.record(z.string().min(1).max(metadataKeyCharsMax), value)
  return z
    .preprocess((given, context) => {
      for (const { key, message } of pairProblems(given))
        context.addIssue({ code: 'custom', path: [key], message })
      return given
    }, pairs)
    .describe(`Yours: at most ${metadataPairsMax} pairs.`)
}

/** Pairs that could not be stored as they are: two keys would become one, or a pair would be lost. */
function pairProblems(given: unknown): { readonly key: string; readonly message: string }[] {
  if (typeof given !== 'object' || given === null) return []
  return Object.entries(given).flatMap(([key, value]) => {
    if (key === '__proto__') return [{ key, message: 'expected another key than __proto__' }]
    if (isStorable(key) && (typeof value !== 'string' || isStorable(value))) return []
    const message = 'expected a key and a text without NUL and unpaired surrogates'
    return [{ key, message }]
  })
}

/** Text that may be empty. */
export function storable(max: number) {
  return z
    .string()
    .max(max)
    .superRefine(
      check((value) =>
        isStorable(value) ? null : 'expected text without NUL and unpaired surrogates',
      ),
    )
}

/** Empty text is none. */
export function orNull(value: string | null): string | null {
  return value === '' ? null : value
}
