/**
 * The beginning of a text, as a copy: what `slice` gives keeps the whole text in memory for as long as
 * itself. Half a character at its end becomes U+FFFD.
 */
export function excerpt(text: string, charsMax: number): string {
  return Buffer.from(text.slice(0, charsMax)).toString()
}
