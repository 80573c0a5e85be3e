/**
 * GitHub makes credentials and puts them into answers: a token that clones the repository
 * (`temp_clone_token`; in GraphQL `tempCloneToken`), and addresses of raw files, archives and pictures
 * of a private repository that need no other credential (`?token=`, `?jwt=`, signed ones of S3). Whoever
 * has one gets past the gateway and its audit, so their values do not go into a sandbox.
 */
const beginning = new RegExp(
  [
    '"temp_?clone_?token"\\s{0,8}:\\s{0,8}"',
    '(?:[?&;]|\\\\u0026|%3f|%26)(?:access_token|jwt|token|sig|x-amz-(?:credential|security-token|signature))(?:=|%3d)',
  ]
    .map((each) => `(?:${each})(?=[\\w.~%+/-])`)
    .join('|'),
  'i',
)
/** No beginning is longer, with the character after it. */
const beginningCharsMax = 64
const value = /^[\w.~%+/=-]*/
const mark = '[secret]'

/** Refuses what an answer could not be searched for: an alias gives a field any name. */
export function asksForMinted(query: string): boolean {
  return /tempCloneToken/i.test(query)
}

/** The same chunks without the values of such credentials. Holds back 64 characters at most. */
export async function* withoutMinted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const pieces = new Pieces()
  for await (const chunk of chunks) {
    // One character a byte: what is looked for is ASCII, and no other character is torn apart.
    const text = pieces.push(chunk.toString('latin1'))
    if (text !== '') yield Buffer.from(text, 'latin1')
  }
  yield Buffer.from(pieces.held, 'latin1')
}

class Pieces {
  /** What may be the first part of a beginning. */
  held = ''
  #isInValue = false

  push(piece: string): string {
    let done = ''
    let rest = this.held + piece
    for (;;) {
      if (this.#isInValue) rest = rest.replace(value, '')
      this.#isInValue &&= rest === ''
      const found = beginning.exec(rest)
      if (found === null) break
      const end = found.index + found[0].length
      done += rest.slice(0, end) + mark
      rest = rest.slice(end)
      this.#isInValue = true
    }
    const safe = Math.max(0, rest.length - beginningCharsMax)
    this.held = rest.slice(safe)
    return done + rest.slice(0, safe)
  }
}
