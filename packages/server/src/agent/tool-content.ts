import { type Fields, fieldsOf, textOf } from './fields.ts'

/** Characters of one tool result that become an event. A tool's output is the sandbox's choice. */
const contentCharsMax = 1024 * 1024
/** Blocks of one tool result. */
const blocksMax = 1000

/**
 * A tool result's content as blocks, at most 1 MiB of it. Text is cut there; a block of another
 * kind that does not fit is replaced by a sentence.
 */
export function boundContent(content: unknown): Fields[] {
  const given = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (!Array.isArray(given)) return []
  let left = contentCharsMax
  const bounded: Fields[] = []
  for (const block of given.slice(0, blocksMax).map(fieldsOf)) {
    if (left <= 0) break
    const [kept, chars] =
      block['type'] === 'text' ? cut(textOf(block['text']), left) : fit(block, left)
    bounded.push(kept)
    left -= chars
  }
  return bounded
}

function cut(text: string, charsMax: number): [Fields, number] {
  const chars = text.length
  if (chars <= charsMax) return [{ type: 'text', text }, chars]
  // A cut may halve a surrogate pair.
  const kept = text.slice(0, charsMax).toWellFormed()
  return [{ type: 'text', text: `${kept}\n[${chars - charsMax} characters left out]` }, charsMax]
}

function fit(block: Fields, charsMax: number): [Fields, number] {
  const chars = JSON.stringify(block).length
  if (chars <= charsMax) return [block, chars]
  const kind = textOf(block['type']) || 'block'
  return [{ type: 'text', text: `[${kind} of ${chars} characters left out]` }, 0]
}
