import type { NewEvent } from '../events/append.ts'
import type { TurnEnd, TurnFailed } from './turn-end.ts'

type RetryStatus = 'retrying' | 'exhausted'

/** The model answered with an error; `status` is null where no answer came. */
export function modelError(status: number | null, retryStatus: RetryStatus): NewEvent {
  const cause = status === null ? 'gave no answer' : `answered with status ${status}`
  return sessionError(typeOf(status), `The model ${cause}.`, retryStatus)
}

/** What the log says when a turn is over. */
export function turnEndEvents(end: TurnEnd): NewEvent[] {
  if (end.kind === 'finished') return [idle('end_turn')]
  // Who parks the session says what is required of whom.
  if (end.kind === 'deferred') return []
  if (end.retry === 'later') {
    return [failure(end, 'retrying'), { type: 'session.status_rescheduled' }]
  }
  if (end.reason === 'refused') {
    const details = { type: 'refusal', category: null, explanation: end.message }
    return [{ ...idle('refusal'), stop_details: details }]
  }
  if (end.reason === 'cancelled') return [idle('end_turn')]
  return [failure(end, 'exhausted'), idle('retries_exhausted')]
}

function failure(end: TurnFailed, retryStatus: RetryStatus): NewEvent {
  const type =
    end.reason === 'turns_exhausted' ? 'tool_use_limit_reached_error' : typeOfReason(end.reason)
  return sessionError(type, end.message, retryStatus)
}

function sessionError(type: string, message: string, retryStatus: RetryStatus): NewEvent {
  return { type: 'session.error', error: { type, message, retry_status: { type: retryStatus } } }
}

function idle(stopReason: string): NewEvent {
  return { type: 'session.status_idle', stop_reason: { type: stopReason }, stop_details: null }
}

function typeOf(status: number | null): string {
  if (status === 429) return 'model_rate_limited_error'
  if (status === 529) return 'model_overloaded_error'
  return 'model_request_failed_error'
}

function typeOfReason(reason: TurnFailed['reason']): string {
  return reason === 'model_rejected' ? 'model_request_failed_error' : 'unknown_error'
}
