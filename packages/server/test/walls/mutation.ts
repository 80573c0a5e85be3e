/** A change of one file's text: `find` must be there exactly once. */
export interface Patch {
  /** From the repository's root. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/**
 * A wall that is taken away, and the test that must then fail by an assertion about its canary.
 * `script/chaos walls` tries all of them; docs/attacks.md is written from them.
 */
export interface Mutation extends Patch {
  /** What stops the attack, in a few words. */
  readonly wall: string
  /** More of the same wall, where it stands in several places: all of them go together. */
  readonly also?: readonly Patch[]
  /** The file of the test, from the repository's root, and the title of it, exactly. */
  readonly test: string
  readonly title: string
}
