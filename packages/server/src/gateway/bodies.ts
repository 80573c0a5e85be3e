/**
 * The request bodies that the gateways of this process make something of. One is worked on at a time:
 * what each becomes takes several times its memory, and holds up everybody while it is made.
 */
export class Bodies {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` after all that came before, whatever became of them. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work)
    this.#last = turn.catch(() => undefined)
    return turn
  }
}
