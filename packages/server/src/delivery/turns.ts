/** One at a time, in the order in which they came. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when everyone who came before is done; dispose it when done. */
  async take(): Promise<Disposable> {
    const before = this.#last
    const done = Promise.withResolvers<void>()
    this.#last = done.promise
    await before
    return { [Symbol.dispose]: done.resolve }
  }
}
