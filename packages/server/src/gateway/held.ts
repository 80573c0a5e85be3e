import type { RouteContext } from './context.ts'
import { withLimit } from './limits.ts'

/** The owner has this long to ask the store whose the session is. */
const askMsMax = 5000

/** What a request is told that does not leave, because the session may be another worker's. */
export class NotHeld extends Error {}

/**
 * Resolves while the session is still its owner's; throws `NotHeld` when it is not, or when that
 * cannot be told. Asked right before what carries a credential leaves, after every other wait: of a
 * worker that lost its lease meanwhile, only what was on the wire by then gets out.
 */
export async function requireHeld(
  { hooks, clock, log }: Pick<RouteContext, 'hooks' | 'clock' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const limit = { clock, ms: askMsMax, signal, what: 'asking for the lease' }
  const isHeld = await withLimit(limit, () => hooks.isHeld()).catch((error: unknown) => {
    log.warn({ err: error }, 'whose this session is cannot be told')
    return null
  })
  if (isHeld === null) throw new NotHeld('Whose this session is cannot be told now; try again.')
  if (!isHeld) throw new NotHeld('This session goes on elsewhere; nothing more leaves from here.')
}
