/**
 * One piece of work at a time: owners take turns, and what each of them waits with goes in the order in
 * which it came. As much waits as its owners let.
 */
export class FairTurns {
  /** Who waits, whoever's turn is next first. */
  readonly #waiting = new Map<object, (() => void)[]>()
  #isTaken = false

  /** Rejects with the signal's reason if it aborts before the turn has come; not afterwards. */
  async run<T>(
    o: { readonly owner: object; readonly signal: AbortSignal },
    work: () => Promise<T>,
  ): Promise<T> {
    o.signal.throwIfAborted()
    if (this.#isTaken) await this.#turn(o)
    this.#isTaken = true
    try {
      return await work()
    } finally {
      this.#next(o.owner)
    }
  }

  async #turn({ owner, signal }: { owner: object; signal: AbortSignal }): Promise<void> {
    const turn = Promise.withResolvers<void>()
    const line = this.#waiting.get(owner) ?? []
    line.push(turn.resolve)
    this.#waiting.set(owner, line)
    const leave = (): void => {
      const at = line.indexOf(turn.resolve)
      if (at === -1) return // Its turn has come.
      line.splice(at, 1)
      if (line.length === 0) this.#waiting.delete(owner)
      turn.reject(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      await turn.promise
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  /** Whoever had the turn goes behind all others. */
  #next(served: object): void {
    const more = this.#waiting.get(served)
    if (more !== undefined) {
      this.#waiting.delete(served)
      this.#waiting.set(served, more)
    }
    const [first] = this.#waiting
    if (first === undefined) {
      this.#isTaken = false
      return
    }
    const [owner, line] = first
    const go = line.shift()
    if (line.length === 0) this.#waiting.delete(owner)
    go?.()
  }
}
