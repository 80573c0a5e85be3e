/** Values in one body, keys not counted: a prompt of a million tokens has some tens of thousands. */
const valuesMax = 100_000
/** Values within values; a schema of a tool has a dozen. */
const depthMax = 500

/** A body would become more than the server is willing to make of it. */
export class JsonTooLarge extends Error {}

const quote = 0x22
const comma = 0x2c
const openArray = 0x5b
const backslash = 0x5c
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

/**
 * Counts what a text of JSON would become, as its bytes come: whoever parses it cannot stop any more,
 * and the server answers nobody meanwhile. What is not JSON is counted as if it were.
 */
export class JsonCount {
  #values = 0
  #depth = 0
  #inString = false
  #escaped = false

  /** Throws JsonTooLarge as soon as there are too many values, or too many within each other. */
  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += 1) {
      if (this.#inString) at = this.#endOfString(chunk, at)
      else if (chunk[at] === quote) this.#inString = true
      else this.#count(chunk[at] ?? 0)
    }
  }

  /** Where the string ends that goes on at `from`, by leaps: most of a body is in strings. */
  #endOfString(chunk: Buffer, from: number): number {
    for (let at = from; ; ) {
      const found = chunk.indexOf(quote, at)
      const end = found === -1 ? chunk.length : found
      let escapes = 0
      while (end - escapes > at && chunk[end - escapes - 1] === backslash) escapes += 1
      // Only an escape that the chunk before ended with reaches over all that is here.
      if (this.#escaped && escapes === end - at) escapes += 1
      this.#escaped = escapes % 2 === 1
      this.#inString = found === -1 || this.#escaped
      if (found === -1 || !this.#inString) return end
      this.#escaped = false
      at = found + 1
    }
  }

  /** Every value but the first stands behind one of these. */
  #count(byte: number): void {
    if (byte === closeArray || byte === closeObject) this.#depth -= 1
    else if (byte === openArray || byte === openObject) {
      this.#depth += 1
      this.#values += 1
    } else if (byte === comma) this.#values += 1
    if (this.#values > valuesMax)
      throw new JsonTooLarge(`The request body has more than ${valuesMax} values.`)
    if (this.#depth > depthMax)
      throw new JsonTooLarge(`The request body has more than ${depthMax} values within each other.`)
  }
}
