/** A part that a request asks for, as RFC 9110 numbers bytes: from 0, both ends included. */
interface Part {
  readonly first: number
  readonly last: number
}

/**
 * What a `Range` header asks of `bytes` bytes (RFC 9110, 14.2): one part; null for all of it, which
 * is also the answer to several parts and to what is no range of bytes; `unsatisfiable` when nothing
 * of it is there.
 */
export function partOf(header: string | undefined, bytes: number): Part | null | 'unsatisfiable' {
  const [, from = '', to = ''] =
    /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? '') ?? []
  if (from === '' && to === '') return null
  if (from === '') {
    const length = Math.min(Number(to), bytes)
    return length === 0 ? 'unsatisfiable' : { first: bytes - length, last: bytes - 1 }
  }
  const first = Number(from)
  const last = to === '' ? bytes - 1 : Math.min(Number(to), bytes - 1)
  if (to !== '' && Number(to) < first) return null
  return first >= bytes ? 'unsatisfiable' : { first, last }
}

/**
 * Whether a list of entity tags (`If-None-Match`) has this one; `*` is every one. Tags are compared
 * weakly, as a GET compares them.
 */
export function matches(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? []
  return tags.includes('*') || tags.includes(etag)
}

/**
 * Whether a `Range` may be answered with a part (`If-Range`): the reader has the rest of the very
 * same content. A date says less than a tag, so it never matches.
 */
export function isSame(header: string | undefined, etag: string): boolean {
  return header === undefined || header.trim() === etag
}
