/** The packet that ends a section. */
export const flushPacket = '0000'

const lengthDigits = 4

/**
 * Cuts git's pkt-lines (gitprotocol-common) out of chunks of any size. It keeps what `next` has not
 * answered yet: no more than the last chunk and 64 KiB, if `next` is asked until it says `more`.
 */
export class PktLines {
  #pending: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
  }

  /** The next line's content; `more`: its end has not come. Of special packets only flush is known. */
  next(): Buffer | 'more' | 'flush' | 'broken' {
    if (this.#pending.length < lengthDigits) return 'more'
    const digits = this.#pending.toString('latin1', 0, lengthDigits)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) return 'broken'
    const isFlush = digits === flushPacket
    const length = isFlush ? lengthDigits : Number.parseInt(digits, 16)
    if (!isFlush && length <= lengthDigits) return 'broken'
    if (this.#pending.length < length) return 'more'
    const line = this.#pending.subarray(lengthDigits, length)
    this.#pending = this.#pending.subarray(length)
    return isFlush ? 'flush' : line
  }
}

/** One pkt-line with this content, of at most 65,516 bytes. */
export function pktLine(content: Buffer): Buffer {
  const length = (content.length + lengthDigits).toString(16).padStart(lengthDigits, '0')
  return Buffer.concat([Buffer.from(length), content])
}
