import { pino } from 'pino'
import type { Scrubber } from './scrub/scrubber.ts'

/** Structured JSON logger; one line an entry, on standard output. */
export type Log = pino.Logger

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Field names that must never reach a log, at the top level and one level down. */
const secretFields = ['authorization', 'apiKey', 'authToken', 'token', 'secret', 'x-api-key']

/** `scrubber`: takes secrets out of every line; absent: none is known. */
export function createLog(level: LogLevel, scrubber?: Scrubber): Log {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: secretFields.flatMap((name) => [`["${name}"]`, `*["${name}"]`]) },
    ...(scrubber && { hooks: { streamWrite: (line: string) => lineOf(line, scrubber) } }),
  })
}

function lineOf(line: string, scrubber: Scrubber): string {
  const scrubbed = scrubber.json(line)
  return scrubbed.endsWith('\n') ? scrubbed : `${scrubbed}\n`
}
