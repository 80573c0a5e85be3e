import { pino } from 'pino'

/** Structured JSON logger; one line an entry, on standard output. */
export type Log = pino.Logger

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/**
 * Field names that must never reach a log, at the top level and one level down. Values inside
 * strings are not covered: nothing that holds a credential is ever logged as a string.
 */
const secretFields = ['authorization', 'apiKey', 'authToken', 'token', 'secret', 'x-api-key']

export function createLog(level: LogLevel): Log {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secretFields.flatMap((name) => [`["${name}"]`, `*["${name}"]`]) },
  })
}
