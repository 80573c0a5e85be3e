/** Values in one body, keys not counted: a prompt of a million tokens has some tens of thousands. */
const valuesMax = 100_000
/** Bytes of a string in a row after which its end is looked for by a leap: a call costs as much. */
const leapAfterBytes = 32
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

  /** How many values there were so far. */
  get values(): number {
    return this.#values
  }

  /** Throws JsonTooLarge as soon as there are too many values, or too many within each other. */
  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; )
      at = this.#inString ? this.#endOfString(chunk, at) : this.#startOfString(chunk, at)
  }

  /** Counts up to the next string; gives where its text begins, or the end of what is here. */
  #startOfString(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0
      if (byte === quote) {
        this.#inString = true
        return at + 1
      }
      if (byte >= comma) this.#count(byte)
    }
    return chunk.length
  }

  /** What follows the string that goes on at `from`, or the end of what is here. */
  #endOfString(chunk: Buffer, from: number): number {
    let escaped = this.#escaped
    let plain = 0
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at]
      if (escaped) escaped = false
      else if (byte === backslash) escaped = true
      else if (byte === quote) {
        this.#escaped = false
        this.#inString = false
        return at + 1
      } else plain += 1
      if (plain === leapAfterBytes) {
        plain = 0
        at = beforeEscapes(chunk, at)
      }
    }
    this.#escaped = escaped
    return chunk.length
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

/**
 * Where the string that `from` is in has its last byte before a quote, and before the backslashes of
 * that: whether they escape it is seen one by one. Most of a body is in long strings.
 */
function beforeEscapes(chunk: Buffer, from: number): number {
  const found = chunk.indexOf(quote, from)
  let end = found === -1 ? chunk.length : found
  while (end - 1 > from && chunk[end - 1] === backslash) end -= 1
  return end - 1
}
