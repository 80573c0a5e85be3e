/** Who asks: the API key that a request was authenticated with. */
export interface Caller {
  readonly keyId: string
  readonly name: string
  /** What the key may do; see `http/scopes.ts`. */
  readonly scopes: readonly string[]
}
