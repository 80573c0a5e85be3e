import type { Clock } from '../clock.ts'

/**
 * Runs `run` with a signal that aborts when `signal` does or after `ms`, and settles then even if
 * `run` pays no attention. Rejects with the signal's reason, or with an Error that says what took
 * too long.
 */
export async function withLimit<T>(
  o: { clock: Clock; ms: number; signal: AbortSignal; what: string },
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  o.signal.throwIfAborted()
  const late = new AbortController()
  const signal = AbortSignal.any([o.signal, late.signal])
  using timer = o.clock.after(o.ms, () =>
    late.abort(new Error(`${o.what} took longer than ${o.ms} ms`)),
  )
  void timer
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([run(signal), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
