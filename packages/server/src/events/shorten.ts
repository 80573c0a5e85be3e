/** What lists and large events keep of a long text. */
const textBytesMax = 8 * 1024

/**
 * A payload that fits into `bytesMax`: long texts are cut, and when that is not enough only the
 * fields of one value are kept, and at last none. Marked with `truncated` and the artifact's name.
 */
export function shorten(
  payload: Readonly<Record<string, unknown>>,
  o: { readonly artifact: string; readonly bytesMax: number },
): Record<string, unknown> {
  const marks = { truncated: true, artifact: o.artifact }
  const fields = Object.entries(payload).map(
    ([name, value]) => [name, shortenValue(value)] as const,
  )
  const single = fields.filter(([, value]) => typeof value !== 'object')
  for (const kept of [fields, single]) {
    const short = { ...Object.fromEntries(kept), ...marks }
    if (Buffer.byteLength(JSON.stringify(short)) <= o.bytesMax) return short
  }
  return marks
}

function shortenValue(value: unknown): unknown {
  if (typeof value === 'string') return shortenText(value)
  if (Array.isArray(value)) return value.map(shortenValue)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, shortenValue(inner)]),
  )
}

function shortenText(text: string): string {
  if (text.length <= textBytesMax && Buffer.byteLength(text) <= textBytesMax) return text
  // Cut between characters: a half one at the end decodes to U+FFFD and goes.
  const head = Buffer.from(text.slice(0, textBytesMax)).subarray(0, textBytesMax)
  return new TextDecoder().decode(head, { stream: true })
}
