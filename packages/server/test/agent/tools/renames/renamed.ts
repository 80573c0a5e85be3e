/** One rename of a symbol in a file, as the tables beside this file have them. */
export interface Renamed {
  readonly says: string
  readonly path: string
  readonly symbol: string
  /** Default: `fresh`. */
  readonly to?: string
  readonly before: string
  /** The text after, or what the refusal says. */
  readonly after: string | RegExp
}
