import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Looks, ever less often, until `condition` holds; fails with `what` after `limitMs`. The default is
 * generous: a busy machine is slow, and a condition that holds ends the wait at once.
 */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + limitMs
  // A look may be dear, and takes time from what is waited for.
  for (let pauseMs = 10; !(await condition()); pauseMs = Math.min(pauseMs * 1.2, 200)) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`)
    await sleep(pauseMs)
  }
}
