import type { Hook } from '@hono/zod-openapi'
import { type FieldError, fieldErrors, isUnsupported } from '@longhaul/client/contract'
import type { z } from 'zod'
import type { Scrubber } from '../scrub/scrubber.ts'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'

/**
 * Refuses input that a route's schema does not accept, naming every bad field, what was expected
 * and what came. The validator hands over the raw input besides its result.
 */
export function refuseInvalid(
  scrubber: Scrubber | undefined,
): (result: Parameters<Hook<unknown, AppEnv, string, void>>[0]) => void {
  return (result) => {
    if (result.success) return
    const input: unknown = Reflect.get(result, 'data')
    const error = result.error as z.ZodError
    const fields = problemsOf(error, input, scrubber)
    throw refusals.invalid(
      fields.map(({ field, message }) => ({ field: field === '' ? 'body' : field, message })),
      isUnsupported(error) ? 'unsupported_feature' : undefined,
    )
  }
}

/** Every bad field; no secret is in what of them is repeated. */
export function problemsOf(
  error: z.ZodError,
  input: unknown,
  scrubber: Scrubber | undefined,
): FieldError[] {
  return fieldErrors(error, input, (text) => scrubber?.text(text) ?? text)
}
