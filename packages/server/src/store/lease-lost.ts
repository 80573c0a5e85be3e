/** Another attempt has the session: nothing that this one says is written any more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost'

  constructor(sessionId: string, attempt: number) {
    super(`attempt ${attempt} no longer holds the lease of ${sessionId}`)
  }
}
