/**
 * Many may read at once, one may write, in the order in which they came. Who is stopped while
 * waiting leaves at once; those behind it still wait for those before it.
 */
export class Door {
  /** Settles when the newest writer, and all before it, are through. */
  #written: Promise<unknown> = Promise.resolve()
  /** Of the readers since then. */
  #reading = new Set<Promise<unknown>>()
  #inside = 0

  /** Nobody is inside or waits. */
  get isFree(): boolean {
    return this.#inside === 0
  }

  read<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const { done, through } = this.#enter(this.#written, signal, run)
    this.#reading.add(through)
    void through.then(() => this.#reading.delete(through))
    return done
  }

  write<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const before = Promise.all([this.#written, ...this.#reading])
    const { done, through } = this.#enter(before, signal, run)
    this.#written = through
    this.#reading = new Set()
    return done
  }

  #enter<T>(before: Promise<unknown>, signal: AbortSignal, run: () => Promise<T>) {
    this.#inside += 1
    const done = unlessStopped(before, signal).then(run)
    const through = Promise.allSettled([before, done]).then(() => {
      this.#inside -= 1
    })
    return { done, through }
  }
}

/** Resolves when `before` does; rejects as soon as the signal aborts. */
async function unlessStopped(before: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const stopped = Promise.withResolvers<never>()
  const stop = (): void => stopped.reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    await Promise.race([before, stopped.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
