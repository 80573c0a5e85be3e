import type { CodeEdit } from './edit.ts'
import type { CodeSymbol } from './outline.ts'

/** What the thread is asked: the outline of a text, or of that text once edited. */
export interface Request {
  /** Name of the language. */
  readonly language: string
  readonly text: string
  readonly edit?: CodeEdit
}

/** What it answers. `refused`: a sentence for the agent. Anything else ends the thread. */
export type Answer =
  | { readonly kind: 'done'; readonly value: CodeOutline | EditedCode }
  | { readonly kind: 'refused'; readonly reason: string }

/** What a text declares. */
export interface CodeOutline {
  readonly symbols: readonly CodeSymbol[]
  /** Lines of the parts that do not parse, without doubles. */
  readonly brokenLines: readonly number[]
}

/** An edited text, and what it declares. */
export interface EditedCode extends CodeOutline {
  readonly text: string
  /** Lines of the old text on which something was changed. */
  readonly changedLines: readonly number[]
}
