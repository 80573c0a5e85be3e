import { isIP } from 'node:net'
import type { HostPort } from '../config.ts'
import { canonicalHost } from './resolve.ts'

/** What a connection begins with. `other` is not TLS; `broken` is neither TLS nor anything else. */
type Beginning =
  | { readonly kind: 'more'; readonly bytes: number }
  | { readonly kind: 'other' }
  | { readonly kind: 'broken' }
  | { readonly kind: 'hello'; readonly serverName: string | null }

/** Where only TLS is spoken. */
const tlsPort = 443
/** A ClientHello with post-quantum key shares has 2 KiB; beyond this it is none. */
const helloBytesMax = 16 * 1024
/** Programs send it in one; the smallest records that OpenSSL can be told to make have 512 bytes. */
const helloRecordsMax = 16

/**
 * Judges the first bytes of a tunnel: if they begin a TLS connection, it has to be for the very host that
 * the tunnel was opened to; on port 443 they have to. `why` is a sentence. Pure; `bytes` is everything
 * that was sent since the tunnel was opened. `more` says how many bytes there have to be before another
 * look is worth it: with a look at each the cost grows with the square of a hello that comes byte by byte.
 */
export function judgeBeginning(bytes: Buffer, { host, port }: HostPort): Verdict {
  const beginning = readBeginning(bytes)
  const where = `What went to ${host}:${port}`
  switch (beginning.kind) {
    case 'more':
      return beginning
    case 'other':
      return port === tlsPort
        ? refused(`${where} is not TLS, which is all that port ${port} is for.`)
        : passed
    case 'broken':
      return refused(`${where} is not in the form of TLS.`)
    case 'hello': {
      const { serverName } = beginning
      // A client that knows only an address has no name to say.
      if (serverName === null)
        return isIP(host) === 0
          ? refused(`${where} does not say which host it is for (no SNI).`)
          : passed
      if (canonicalHost(serverName) === host) return passed
      const name = JSON.stringify(serverName.slice(0, 255))
      return refused(`${where} is for another host, ${name} (SNI).`)
    }
  }
}

type Verdict =
  | { readonly kind: 'more'; readonly bytes: number }
  | { readonly kind: 'passed' }
  | { readonly kind: 'refused'; readonly why: string }

const passed = { kind: 'passed' } as const

function refused(why: string): { readonly kind: 'refused'; readonly why: string } {
  return { kind: 'refused', why }
}

/**
 * Reads the server name off a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3), which may come in several
 * records and in chunks of any size. The name of an encrypted ClientHello's outer part is the one that
 * counts.
 */
function readBeginning(bytes: Buffer): Beginning {
  if (bytes.length === 0) return { kind: 'more', bytes: 1 }
  if (bytes[0] !== handshakeRecord) return { kind: 'other' }
  const records = handshakeOf(bytes)
  if (records === null) return broken
  const message = readMessage(records.content)
  if (message !== null) return message
  return bytes.length > helloBytesMax ? broken : { kind: 'more', bytes: records.end }
}

const broken = { kind: 'broken' } as const
const handshakeRecord = 22
const headerBytes = 5
const recordBytesMax = 16 * 1024
const clientHello = 1
const serverNameExtension = 0
const hostName = 0

/**
 * What the records hold that have come so far, and where the header or record ends that has not all
 * come; null if they are not records of a handshake, or too many.
 */
function handshakeOf(bytes: Buffer): { content: Buffer; end: number } | null {
  const parts: Buffer[] = []
  let at = 0
  while (at + headerBytes <= bytes.length) {
    const length = bytes.readUInt16BE(at + 3)
    const isRecord = bytes[at] === handshakeRecord && bytes[at + 1] === 3
    if (!isRecord || length === 0 || length > recordBytesMax) return null
    if (parts.length === helloRecordsMax) return null
    const end = at + headerBytes + length
    parts.push(bytes.subarray(at + headerBytes, end))
    // What follows a whole message may be anything.
    if (end > bytes.length || isWhole(parts)) return { content: Buffer.concat(parts), end }
    at = end
  }
  return { content: Buffer.concat(parts), end: at + headerBytes }
}

function isWhole(parts: readonly Buffer[]): boolean {
  const bytes = Buffer.concat(parts)
  return bytes.length >= 4 && bytes.length >= 4 + bytes.readUIntBE(1, 3)
}

/** Null: it is not all there. */
function readMessage(bytes: Buffer): Beginning | null {
  if (bytes.length > 0 && bytes[0] !== clientHello) return broken
  if (bytes.length < 4) return null
  const length = bytes.readUIntBE(1, 3)
  if (length > helloBytesMax) return broken
  if (bytes.length < 4 + length) return null
  try {
    return { kind: 'hello', serverName: serverNameOf(bytes.subarray(4, 4 + length)) }
  } catch {
    // A length in it leads beyond its end, or it has what it may not.
    return broken
  }
}

/** Null if it names none. Throws for what is not the form. */
function serverNameOf(hello: Buffer): string | null {
  const body = new Fields(hello)
  body.skip(2 + 32)
  body.take(1)
  body.take(2)
  body.take(1)
  if (body.isEmpty) return null
  const extensions = new Fields(body.take(2))
  const names: string[] = []
  while (!extensions.isEmpty) {
    const type = extensions.number(2)
    const data = extensions.take(2)
    if (type !== serverNameExtension) continue
    const list = new Fields(new Fields(data).take(2))
    while (!list.isEmpty) {
      if (list.number(1) !== hostName) throw new RangeError('not a host name')
      names.push(list.take(2).toString('latin1'))
    }
  }
  if (names.length > 1) throw new RangeError('more than one name')
  return names[0] ?? null
}

/** Fields of a message, one after the other. Throws RangeError beyond the end. */
class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length
  }

  number(size: number): number {
    const value = this.#bytes.readUIntBE(this.#at, size)
    this.#at += size
    return value
  }

  skip(size: number): void {
    if (this.#at + size > this.#bytes.length) throw new RangeError('too short')
    this.#at += size
  }

  /** What follows a length of `size` bytes. */
  take(size: number): Buffer {
    const length = this.number(size)
    const from = this.#at
    this.skip(length)
    return this.#bytes.subarray(from, from + length)
  }
}
