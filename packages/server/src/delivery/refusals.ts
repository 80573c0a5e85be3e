import type { ErrorBody, ErrorType, FieldError, SocketAnswer } from '@longhaul/client/contract'

/** Why a message on a WebSocket was not done; the socket stays open. */
const refusals = {
  malformed_json: ['invalid_request_error', 'The message is not JSON: expected one JSON object.'],
  binary_message: [
    'invalid_request_error',
    'The message is binary: expected text with one JSON object.',
  ],
  invalid_input: ['invalid_request_error', ''],
  no_session: ['not_found_error', 'There is no such session.'],
  already_subscribed: [
    'invalid_request_error',
    'The session is subscribed to: unsubscribe first to begin elsewhere.',
  ],
  not_subscribed: ['invalid_request_error', 'The session is not subscribed to.'],
  too_many_subscriptions: [
    'rate_limit_error',
    'The socket has as many subscriptions as it may: unsubscribe from a session first.',
  ],
  server_full: [
    'rate_limit_error',
    'The server has as many subscriptions as it may: try again later.',
  ],
  unreadable: ['api_error', 'The events cannot be read now: subscribe again from the last one.'],
  failed: ['api_error', 'Something went wrong in the server; the request id finds it in the log.'],
} as const satisfies Record<string, readonly [ErrorType, string]>
export type Refusal = keyof typeof refusals

/** Why the server closes a WebSocket: the code that closes it, and what is said before. */
const ends = {
  draining: [1001, 'overloaded_error', 'The server stops: connect again and resume.'],
  message_too_large: [1009, 'request_too_large', 'The message is too large.'],
  key_revoked: [4401, 'authentication_error', 'The API key was revoked.'],
  stalled: [
    4408,
    'timeout_error',
    'Nothing was taken for too long: connect again and resume from the last number.',
  ],
  too_many_messages: [
    4429,
    'rate_limit_error',
    'Too many messages wait: expected a client that reads the answers.',
  ],
} as const satisfies Record<string, readonly [number, ErrorType, string]>
export type SocketEnd = keyof typeof ends

interface About {
  readonly requestId: string
  /** The session that the message was about. */
  readonly sessionId?: string
  readonly fields?: readonly FieldError[]
}

/** A refusal in the one error envelope; `fields` make the sentence of an invalid message. */
export function refusalOf(why: Refusal, about: About): SocketAnswer {
  const [type, message] = refusals[why]
  const said = about.fields?.map((one) => `${one.field || 'message'}: ${one.message}`).join('; ')
  return envelope(why, type, said ?? message, about)
}

/** The last message before the socket is closed, and the code that closes it. */
export function endOf(
  why: SocketEnd,
  about: About,
): { readonly code: number; readonly answer: SocketAnswer } {
  const [code, type, message] = ends[why]
  return { code, answer: envelope(why, type, message, about) }
}

function envelope(
  code: Refusal | SocketEnd,
  type: ErrorType,
  message: string,
  { requestId, sessionId, fields }: About,
): ErrorBody & { readonly session_id?: string } {
  const details = { error_code: code, ...(fields && { fields: [...fields] }) }
  return {
    type: 'error',
    error: { type, message, details },
    request_id: requestId,
    ...(sessionId !== undefined && { session_id: sessionId }),
  }
}
