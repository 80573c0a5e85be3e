import { constants } from 'node:os'
import { countOf, type Fields, fieldsOf, listOf, textOf } from './fields.ts'
import type { TurnEnd, TurnFailed } from './turn-end.ts'

/** Characters of what the CLI says about an error that a sentence quotes. */
const quotedCharsMax = 500

/**
 * What a `result` of the SDK means. Its `subtype` says little: API errors arrive as `success` with
 * `is_error`, so the table goes by the status, the stop reason and the terminal reason.
 *
 * | result | end |
 * |---|---|
 * | stop_reason refusal | refused, never |
 * | terminal_reason aborted_* | cancelled, never: only we interrupt |
 * | terminal_reason tool_deferred | deferred: a call waits for a human |
 * | error_max_turns | turns_exhausted, never |
 * | error_max_budget_usd | budget_declined, never |
 * | API status 401, 403 | model_rejected, never |
 * | API status 408, 409, 429, 5xx, 529 | agent_error, later |
 * | API error without a status, no answer | agent_error, later |
 * | API error without a status, an answer too long or malformed | agent_error, never |
 * | API status 400, 404, 413 and any other | agent_error, never |
 * | any other error | agent_error, never |
 */
export function classifyResult(message: unknown): TurnEnd {
  const result = fieldsOf(message)
  const said = quote(saidIn(result))
  if (result['stop_reason'] === 'refusal') return failed('refused', said || 'The model refused.')
  const terminal = textOf(result['terminal_reason'])
  if (terminal.startsWith('aborted_')) return failed('cancelled', 'The turn was interrupted.')
  if (terminal === 'tool_deferred') return deferred(fieldsOf(result['deferred_tool_use']))
  switch (result['subtype']) {
    case 'error_max_turns':
      return failed('turns_exhausted', said || 'The agent used all its turns.')
    case 'error_max_budget_usd':
      return failed('budget_declined', said || 'The budget is spent.')
    case 'success':
      return result['is_error'] === true
        ? classifyApiError(result, said)
        : { kind: 'finished', text: textOf(result['result']) }
    default:
      return failed('agent_error', said || 'The agent ended with an error.')
  }
}

function deferred(call: Fields): TurnEnd {
  const { id, name } = call
  if (typeof id !== 'string' || typeof name !== 'string')
    return failed('agent_error', 'The agent waits for a human, and did not say for what.', 'later')
  return { kind: 'deferred', call: { id, name, input: fieldsOf(call['input']) } }
}

function classifyApiError(result: Fields, said: string): TurnFailed {
  const message = said || 'The model answered with an error.'
  const status = countOf(result['api_error_status'])
  if (status === 401 || status === 403) return failed('model_rejected', message)
  if (status > 0) {
    const isPassing = status >= 500 || [408, 409, 429].includes(status)
    const end = failed('agent_error', message, isPassing ? 'later' : 'never')
    return status === 429 || status === 529 ? { ...end, limited: true } : end
  }
  // `api_error` names what is wrong with an answer; without it there was none.
  const gaveNoAnswer =
    result['terminal_reason'] === 'api_error' && !answered.has(result['api_error'])
  return failed('agent_error', message, gaveNoAnswer ? 'later' : 'never')
}

/** Errors about an answer that did come. */
const answered: ReadonlySet<unknown> = new Set(['max_output_tokens', 'invalid_request'])

/** The process is gone without a result. 128 and a signal's number is how a shell reports it. */
export function classifyExit(exit: {
  readonly code: number | null
  readonly signal: string | null
  readonly stderr: string
}): TurnFailed {
  const signal = exit.signal ?? signalOf(exit.code)
  const how =
    signal === null ? `ended with code ${exit.code ?? 'unknown'}` : `was ended by ${signal}`
  const said = signal === null ? quote(exit.stderr) : ''
  const message = `The agent's process ${how}${said === '' ? '.' : `: ${said}`}`
  return { ...failed('agent_error', message, 'later'), died: true }
}

function signalOf(code: number | null): string | null {
  if (code === null || code <= 128) return null
  return Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? null
}

function saidIn(result: Fields): string {
  return textOf(result['result']) || listOf(result['errors']).map(textOf).filter(Boolean).join('; ')
}

function quote(text: string): string {
  const trimmed = text.trim()
  return trimmed.length <= quotedCharsMax
    ? trimmed
    : `${trimmed.slice(0, quotedCharsMax).toWellFormed()}…`
}

function failed(
  reason: TurnFailed['reason'],
  message: string,
  retry: TurnFailed['retry'] = 'never',
): TurnFailed {
  return { kind: 'failed', reason, message, retry }
}
