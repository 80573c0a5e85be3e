import { createHash } from 'node:crypto'

/** An id has 26 digits; hexadecimal ones are among those of Crockford's base32. */
const digits = 26

/** The id of a subagent's thread: always the same for the tool call that started it. */
export function threadIdOf(sessionId: string, toolUseId: string): string {
  const hash = createHash('sha256').update(`${sessionId} ${toolUseId}`).digest('hex')
  return `sthr_${hash.slice(0, digits)}`
}
