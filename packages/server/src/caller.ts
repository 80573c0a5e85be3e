/** Who asks: the API key that a request was authenticated with. */
export interface Caller {
  readonly keyId: string
  readonly name: string
}
