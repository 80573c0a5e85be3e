/**
 * Placeholders: `{field}` for a field of a call's input, `{file:name}` for a file beside the tools
 * file. Nothing is ever put into a text that something else parses: an argument is one argument, a
 * part of a URL is escaped as one part.
 */
import type { Argument } from './custom-tool.ts'

/** An argument is a placeholder as a whole, or fixed text; null: it has one in the middle. */
export function parseArgument(text: string): Argument | null {
  const [, kind, name = ''] = /^\{(file:)?([^{}]+)\}$/.exec(text) ?? []
  if (name !== '') {
    if (kind !== undefined) return { kind: 'file', name }
    return /^\w+$/.test(name) ? { kind: 'field', name } : null
  }
  return /\{(file:)?\w+\}/.test(text) ? null : { kind: 'text', text }
}

/** A URL whose origin is fixed. */
export interface UrlTemplate {
  readonly origin: string
  /** Between the slashes; each from texts and fields. */
  readonly segments: readonly (readonly Piece[])[]
  readonly query: readonly { readonly name: string; readonly value: readonly Piece[] }[]
}

/** A piece of a URL: fixed text, escaped already, or a field. */
type Piece = { readonly text: string } | { readonly field: string }

/** A template, or the sentence that says what was expected. */
export function parseUrlTemplate(text: string): UrlTemplate | string {
  const [, origin = '', path = '', query = ''] =
    /^(https?:\/\/[^/?#{}@\\]+)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(text) ?? []
  const url = URL.parse(origin)
  if (url === null) return 'expected an http or https URL without credentials and without #'
  const segments = path.split('/').slice(1).map(piecesOf)
  const parameters = query.split('&').filter((part) => part !== '')
  const values = parameters.map((part) => {
    const [name = '', ...value] = part.split('=')
    return { name, value: piecesOf(value.join('=')) }
  })
  const literal = text.replaceAll(/\{\w+\}/g, '')
  // A URL parser takes a backslash for a slash.
  if (/[^\x21-\x7e]|[{}\\]/.test(literal)) return 'expected `{field}` and escaped characters only'
  if (path.split('/').some(isDots)) return 'expected a path without . and .. in it'
  if (values.some(({ name }) => name === '' || name.includes('{')))
    return 'expected placeholders in the path and in query values only'
  return { origin: url.origin, segments, query: values }
}

/** The fields that a template uses, those in the path first. */
export function fieldsOf({ segments, query }: UrlTemplate): { path: string[]; query: string[] } {
  const fields = (pieces: readonly Piece[]) =>
    pieces.flatMap((piece) => ('field' in piece ? [piece.field] : []))
  return { path: segments.flatMap(fields), query: query.flatMap(({ value }) => fields(value)) }
}

/**
 * The URL for one input. A query value whose field is missing is left out. Throws a RangeError with
 * a sentence if a field would change which resource is meant.
 */
export function fillUrl(template: UrlTemplate, input: Readonly<Record<string, unknown>>): URL {
  const path = template.segments.map((pieces) => {
    const segment = pieces.map((piece) => textOf(piece, input)).join('')
    if (pieces.some((piece) => 'field' in piece) && (segment === '' || isDots(segment)))
      throw new RangeError(`A part of the URL's path cannot be ${JSON.stringify(segment)}.`)
    return segment
  })
  const query = template.query
    .filter(({ value }) =>
      value.every((piece) => !('field' in piece) || input[piece.field] !== undefined),
    )
    .map(({ name, value }) => `${name}=${value.map((piece) => textOf(piece, input)).join('')}`)
  const search = query.length === 0 ? '' : `?${query.join('&')}`
  return new URL(`${template.origin}/${path.join('/')}${search}`)
}

function piecesOf(text: string): Piece[] {
  return text
    .split(/(\{\w+\})/)
    .filter((part) => part !== '')
    .map((part) => (part.startsWith('{') ? { field: part.slice(1, -1) } : { text: part }))
}

function textOf(piece: Piece, input: Readonly<Record<string, unknown>>): string {
  return 'text' in piece
    ? piece.text
    : encodeURIComponent(String(input[piece.field] ?? '').toWellFormed())
}

/** `..` in any spelling that a URL parser takes for it. */
function isDots(segment: string): boolean {
  return /^(\.|%2e){1,2}$/i.test(segment)
}
