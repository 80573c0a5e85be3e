import { createHash } from 'node:crypto'
import type { Context } from 'hono'
import { matches } from './conditional.ts'
import type { AppEnv } from './env.ts'

/**
 * Gives a representation its strong entity tag, a hash of what is sent, so that it changes with every
 * byte of it. True when the reader has it already (`If-None-Match`): a 304 is enough.
 */
export function isKnown(c: Context<AppEnv>, representation: unknown): boolean {
  const hash = createHash('sha256').update(JSON.stringify(representation)).digest('base64url')
  const etag = `"${hash.slice(0, 32)}"`
  c.header('etag', etag)
  // May be kept, and has to be asked for each time: without it nothing may keep an answer.
  c.header('cache-control', 'private, no-cache')
  return matches(c.req.header('if-none-match'), etag)
}
