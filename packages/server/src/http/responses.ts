import { errorBody } from '@longhaul/client/contract'
import type { z } from 'zod'

/** Documented errors of a route that takes a key: those of every such route, and its own. */
export function refusalsOf(...statuses: readonly number[]) {
  return Object.fromEntries(
    [400, 401, 403, 500, ...statuses].map((status) => [
      status,
      { description: meanings[status] ?? 'Error.', content: json(errorBody) },
    ]),
  )
}

/** The content of a JSON body. */
export function json<T extends z.ZodType>(schema: T) {
  return { 'application/json': { schema } }
}

const meanings: Readonly<Record<number, string>> = {
  400: 'The input is not valid; every bad field is named.',
  401: 'The API key is missing, unknown or revoked.',
  403: 'The API key lacks the scope that this needs.',
  404: 'There is no such thing.',
  409: 'It conflicts with the present state; trying again does not help.',
  413: 'The body is larger than 1 MiB.',
  415: 'The body is not JSON.',
  416: 'None of the bytes that the range names are there.',
  429: 'Too many at once; try again later.',
  500: 'Something went wrong in the server.',
}
