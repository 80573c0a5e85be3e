/** What is done to each text of a value; where it yields, others may get a turn. */
export type Texts = (text: string) => Generator<undefined, string>

/** Every text in a JSON value, names of fields as well; the same value where none is another one. */
export function* scrubbedValue(value: unknown, texts: Texts): Generator<undefined, unknown> {
  if (typeof value === 'string') return yield* texts(value)
  if (typeof value === 'number') return yield* scrubbedNumber(value, texts)
  if (typeof value !== 'object' || value === null) return value
  let isSame = true
  if (Array.isArray(value)) {
    const scrubbed: unknown[] = []
    for (const each of value) {
      const own = yield* scrubbedValue(each, texts)
      isSame &&= Object.is(own, each)
      scrubbed.push(own)
    }
    return isSame ? value : scrubbed
  }
  // No text of anybody's. What a value says of itself decides nothing: a field may be called toJSON.
  if (value instanceof Date || ArrayBuffer.isView(value)) return value
  const entries: [string, unknown][] = []
  for (const [name, each] of Object.entries(value)) {
    const [as, own] = [yield* texts(name), yield* scrubbedValue(each, texts)]
    isSame &&= as === name && Object.is(own, each)
    entries.push([as, own])
  }
  return isSame ? value : Object.fromEntries(entries)
}

/** A secret may be of digits alone. */
function* scrubbedNumber(value: number, texts: Texts): Generator<undefined, unknown> {
  const text = String(value)
  const scrubbed = yield* texts(text)
  return scrubbed === text ? value : scrubbed
}
