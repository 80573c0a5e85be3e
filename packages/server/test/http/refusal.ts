import assert from 'node:assert/strict'
import type { Sent, TestApp } from './fixture.ts'

/** What was sent, and what the answer has to say about it. */
export interface Row {
  readonly send: readonly [method: string, path: string, sent?: Sent]
  readonly status: number
  /** `details.error_code`; that of the status if absent. */
  readonly code?: string
  /** Parts of the message: the field, what was expected, what came. */
  readonly says: readonly string[]
}

/** Type and `error_code` by status, as far as a table of bad requests meets them. */
const kinds: Readonly<Record<number, readonly [type: string, code?: string]>> = {
  400: ['invalid_request_error', 'invalid_input'],
  404: ['not_found_error'],
  409: ['invalid_request_error'],
  405: ['invalid_request_error', 'method_not_allowed'],
  413: ['request_too_large', 'body_too_large'],
  415: ['invalid_request_error', 'unsupported_media_type'],
  426: ['invalid_request_error'],
}

/** Sends a row and holds the answer against it: status, envelope, type, and every part of the text. */
export async function expectRefusal(server: TestApp, row: Row): Promise<void> {
  const { send, status, says } = row
  const answer = await server.send(...send)
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  const { type, error, request_id: requestId } = JSON.parse(text)
  const [kind, code] = kinds[status] ?? []
  assert.equal(type, 'error')
  assert.equal(error.type, kind)
  assert.equal(error.details?.error_code, row.code ?? code)
  assert.match(requestId, /^req_[0-9a-z]{26}$/)
  assert.equal(answer.headers.get('request-id'), requestId)
  for (const part of says) assert.ok(error.message.includes(part), `${part} ∉ ${text}`)
  if (status === 400) assert.ok(error.details.fields.length > 0)
  if (status === 405) assert.equal(answer.headers.get('allow')?.includes(send[0]), false)
}

/** A value or a path in a test's title. */
export function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text
}
