import type { Approval, ErrorBody, ErrorType, FieldError } from '@longhaul/client/contract'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Scrubber } from '../scrub/scrubber.ts'
import { AgentRefused } from '../sessions/agents.ts'
import { EnvironmentRefused } from '../sessions/environments.ts'
import { ScheduleRefused } from '../tasks/schedule-order.ts'
import type { AppEnv } from './env.ts'

/** An answer other than the asked one; everything a client may be told about it. */
export class ApiError extends Error {
  readonly status: ContentfulStatusCode
  readonly details: ErrorBody['error']['details']
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: ContentfulStatusCode,
    message: string,
    o: {
      readonly details?: ErrorBody['error']['details']
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(message)
    this.status = status
    this.details = o.details
    this.headers = o.headers ?? {}
  }
}

/** The catalogue: one entry for each way in which a request is turned away. */
export const refusals = {
  keyMissing: () =>
    new ApiError(
      401,
      'An API key is needed: send it as `Authorization: Bearer lh_…` or as `x-api-key`.',
      { headers: { 'www-authenticate': 'Bearer' } },
    ),
  keyUnknown: () =>
    new ApiError(401, 'The API key is not known or was revoked.', {
      headers: { 'www-authenticate': 'Bearer' },
    }),
  scopeMissing: (needed: string, held: readonly string[]) =>
    new ApiError(
      403,
      `The API key may not do that: it needs the scope ${needed}, and has ${held.join(', ')}.`,
      { details: { error_code: 'scope_missing' } },
    ),
  notFound: (what: string) => new ApiError(404, `There is no ${what}.`),
  methodNotAllowed: (method: string, allow: readonly string[]) =>
    new ApiError(405, `This route answers ${allow.join(', ')}, got ${method}.`, {
      details: { error_code: 'method_not_allowed' },
      headers: { allow: allow.join(', ') },
    }),
  conflict: (code: string, message: string) =>
    new ApiError(409, message, {
      details: { error_code: code },
      // Official clients retry a 409 unless told that it will not pass.
      headers: { 'x-should-retry': 'false' },
    }),
  decided: (approval: Approval, message: string) =>
    new ApiError(409, message, {
      details: { error_code: 'already_decided', approval },
      headers: { 'x-should-retry': 'false' },
    }),
  sessionNotTerminated: (status: string) =>
    refusals.conflict(
      'session_not_terminated',
      `The session is not terminated: it is ${status}. Cancel its task, or wait for its end.`,
    ),
  taskNotEnded: ({ status, reason }: { readonly status: string; readonly reason: string }) =>
    refusals.conflict(
      'task_not_ended',
      `The task has not ended: it is ${status}, ${reason}. Cancel it, or wait for its end.`,
    ),
  endpointDisabled: () =>
    refusals.conflict(
      'endpoint_disabled',
      'The endpoint is disabled: enable it first, with {"disabled": false}.',
    ),
  busy: (code: string, message: string) =>
    new ApiError(429, message, { details: { error_code: code } }),
  tooLarge: (bytesMax: number) =>
    new ApiError(413, `The body is too large: expected at most ${bytesMax} bytes.`, {
      details: { error_code: 'body_too_large' },
    }),
  rangeNotSatisfiable: (range: string | undefined, bytes: number) =>
    new ApiError(
      416,
      `range: expected bytes within the ${bytes} that there are, got ${JSON.stringify(range)}.`,
      {
        details: { error_code: 'range_not_satisfiable' },
        headers: { 'content-range': `bytes */${bytes}` },
      },
    ),
  notJson: (contentType: string | undefined) =>
    new ApiError(
      415,
      `content-type: expected application/json, got ${JSON.stringify(contentType ?? null)}.`,
      { details: { error_code: 'unsupported_media_type' } },
    ),
  malformed: (why: string) =>
    new ApiError(400, `The body is not JSON: ${why}.`, {
      details: {
        error_code: 'malformed_json',
        fields: [{ field: 'body', message: `expected JSON: ${why}` }],
      },
    }),
  invalid: (fields: readonly FieldError[], code = 'invalid_input') =>
    new ApiError(400, fields.map((one) => `${one.field}: ${one.message}`).join('; '), {
      details: { error_code: code, fields: [...fields] },
    }),
} as const

/**
 * Turns anything thrown into the one envelope. What was not meant for a client is not shown, nor is a
 * secret that was sent in the wrong place.
 */
export function errorResponse(
  c: Context<AppEnv>,
  error: unknown,
  scrubber: Scrubber | undefined,
): Response {
  const known = toApiError(error)
  for (const [name, value] of Object.entries(known.headers)) c.header(name, value)
  const body: ErrorBody = {
    type: 'error',
    error: {
      type: errorTypeOf(known.status),
      message: scrubber?.text(known.message) ?? known.message,
      ...(known.details && { details: scrubber?.value(known.details) ?? known.details }),
    },
    request_id: c.get('requestId'),
  }
  return c.json(body, known.status)
}

/** True when the thrown thing is a bug or a failure of ours, to be logged. */
export function isUnexpected(error: unknown): boolean {
  // A client that goes away in the middle of its body is no failure of ours.
  if (error instanceof Error && 'code' in error && error.code === 'ECONNRESET') return false
  return toApiError(error).status >= 500
}

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof AgentRefused || error instanceof EnvironmentRefused)
    return error.code === 'invalid_input'
      ? refusals.invalid(error.fields)
      : refusals.conflict(error.code, error.message)
  if (error instanceof ScheduleRefused) return refusals.invalid(error.fields)
  // Rooms that this one mounts, and the framework, speak in these.
  if (error instanceof HTTPException && error.status < 500)
    return new ApiError(error.status as ContentfulStatusCode, error.message)
  return new ApiError(
    500,
    'Something went wrong in the server; the request id finds it in the log.',
  )
}

function errorTypeOf(status: number): ErrorType {
  return byStatus[status] ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
}

const byStatus: Readonly<Record<number, ErrorType>> = {
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
}
