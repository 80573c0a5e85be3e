import type { Hook } from '@hono/zod-openapi'
import { fieldErrors, isUnsupported } from '@longhaul/client/contract'
import type { z } from 'zod'
import type { AppEnv } from './env.ts'
import { refusals } from './errors.ts'

/**
 * Refuses input that a route's schema does not accept, naming every bad field, what was expected
 * and what came. The validator hands over the raw input besides its result.
 */
export function refuseInvalid(result: Parameters<Hook<unknown, AppEnv, string, void>>[0]): void {
  if (result.success) return
  const input: unknown = Reflect.get(result, 'data')
  const error = result.error as z.ZodError
  throw refusals.invalid(
    fieldErrors(error, input).map(({ field, message }) => ({
      field: field === '' ? 'body' : field,
      message,
    })),
    isUnsupported(error) ? 'unsupported_feature' : undefined,
  )
}
