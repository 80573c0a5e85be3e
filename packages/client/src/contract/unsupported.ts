import { z } from 'zod'

/** Marks an issue about something that is known, and not supported: see `isUnsupported`. */
export const unsupportedParams = { error_code: 'unsupported_feature' } as const

/** Whether a refused input asks for something that the protocol has and this server has not. */
export function isUnsupported(error: z.ZodError): boolean {
  return error.issues.some(
    (issue) =>
      issue.code === 'custom' && issue.params?.['error_code'] === unsupportedParams.error_code,
  )
}

/** Whether a field that is not supported asks for nothing. */
export function isUnsupportedEmpty(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0)
}

/** A field of the Managed Agents API that may be sent as long as it asks for nothing. */
export function unsupportedField(what: string) {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (isUnsupportedEmpty(value)) return
      const message = `expected none: ${what} are not supported`
      context.addIssue({ code: 'custom', message, params: unsupportedParams })
    })
    .optional()
    .describe(`Not supported: must be absent, null or empty.`)
}
