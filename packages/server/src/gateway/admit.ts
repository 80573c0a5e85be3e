import type { RouteContext } from './context.ts'
import type { Admission } from './meter.ts'

/** The session's own budget first, then what it shares: both are settled with one cost. */
export async function admit(
  { meter, allow }: RouteContext,
  worstUsd: number,
  signal: AbortSignal,
): Promise<Admission | { readonly kind: 'key_spent' }> {
  const own = await meter.admit(worstUsd, signal)
  if (own.kind !== 'admitted' || allow === undefined) return own
  try {
    const shared = await allow(worstUsd, signal)
    if (shared.kind === 'admitted')
      return {
        kind: 'admitted',
        settle: (costUsd) => {
          own.settle(costUsd)
          shared.settle(costUsd)
        },
      }
    own.settle(0)
    return shared.kind === 'spent' ? { kind: 'key_spent' } : shared
  } catch (error) {
    own.settle(0)
    throw error
  }
}
