/** A shorter one would be found everywhere. */
const secretCharsMin = 8

/** The texts that give a secret away, before any of their characters is escaped. */
export function formsOf(secret: string): string[] {
  const texts = [secret, ...basicOf(secret)].flatMap((text) => {
    const bytes = Buffer.from(text)
    const hex = bytes.toString('hex')
    const base64 = [0, 1, 2].map((offset) => base64At(bytes, offset))
    return [
      ...[text, hex, hex.toUpperCase()],
      ...base64,
      ...base64.map((each) => each.replaceAll('+', '-').replaceAll('/', '_')),
    ]
  })
  return [...new Set(texts)]
}

/** What a Basic credential (RFC 7617) says in base64: `name:password`, and the password. */
function basicOf(secret: string): string[] {
  const decoded = Buffer.from(secret, 'base64')
  const [, password = ''] = /^[\x20-\x7e]*?:([\x20-\x7e]+)$/.exec(decoded.toString('latin1')) ?? []
  const isBasic = password !== '' && sameBase64(decoded.toString('base64'), secret)
  if (!isBasic) return []
  return [decoded.toString('latin1'), password].filter(({ length }) => length >= secretCharsMin)
}

function sameBase64(a: string, b: string): boolean {
  return a.replace(/=+$/, '') === b.replace(/=+$/, '')
}

/** What stands in the base64 of anything that has these bytes `offset` bytes after a third one. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}
