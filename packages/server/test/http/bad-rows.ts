/** What is wrong with requests on whatever route: rows of the tables of bad-input.test.ts. */
import type { Sent } from './fixture.ts'
import type { Row } from './refusal.ts'

/** A task that is there, and its session. */
export interface Made {
  readonly id: string
  readonly sessionId: string
  /** Another one, which has ended. */
  readonly endedId: string
}

export const unknownTask = 'task_00000000000000000000000000'
export const unknownSession = 'sesn_00000000000000000000000000'

export const rfc3339 = {
  good: '2026-11-24T10:00:00Z',
  bad: ['', 'x', '0', '2026-11-24', '2026-11-24T10:00:00', '2026-13-01T00:00:00Z'],
}

/** A row of a GET that is answered 400. */
export function bad(path: string, ...says: string[]): Row {
  return { send: ['GET', path], status: 400, says }
}

export function missing(method: string, path: string, what: string): Row {
  return { send: [method, path], status: 404, says: [what] }
}

export function wrongMethod(method: string, path: string, allowed: string): Row {
  return { send: [method, path], status: 405, says: [`answers ${allowed}, got ${method}`] }
}

export function badLimits(path: string, max: number): Row[] {
  const rule = `limit: expected a whole number from 1 to ${max}`
  return [
    ...['0', '-1', 'x', '1.5', '1e1', String(max + 1), ''].map((limit) =>
      bad(`${path}?limit=${limit}`, `${rule}, got "${limit}"`),
    ),
    bad(`${path}?limit=1&limit=2`, 'limit: expected a string, got an array of 2'),
  ]
}

/** What no route that takes a body takes. */
export function badJson(path: string): Row[] {
  const row = (sent: Sent, status: number, ...says: string[]): Row => ({
    send: ['POST', path, sent],
    status,
    says,
  })
  const form = 'application/x-www-form-urlencoded'
  const malformed = (body: unknown, ...says: string[]): Row => ({
    ...row({ body }, 400, 'The body is not JSON', ...says),
    code: 'malformed_json',
  })
  return [
    malformed('{"type":'),
    malformed('{} {}'),
    malformed(Uint8Array.of(0x22, 0xff, 0x22), 'expected UTF-8'),
    row({ body: 'a=b', headers: { 'content-type': form } }, 415, `got "${form}"`),
    row({ body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'got "text/plain"'),
    row({ body: '{}', headers: { 'content-type': 'application/jsonp' } }, 415, 'content-type'),
    row({ body: JSON.stringify('x'.repeat(1024 * 1024 - 1)) }, 413, 'at most 1048576 bytes'),
    row({ body: '{}', headers: { 'content-length': '99999999' } }, 413, 'at most 1048576 bytes'),
    row({ body: [] }, 400, 'body: expected an object, got an array of 0'),
    row({ body: { colour: 1 } }, 400, 'colour: unknown field, got 1'),
  ]
}
