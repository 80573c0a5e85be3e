/**
 * Keeps the first quarter and the last three quarters of a stream within a bound, and says how
 * much is missing between them. The head shows what was started, the tail how it ended.
 */
export class BoundedOutput {
  readonly #headBytesMax: number
  readonly #tailBytesMax: number
  readonly #head: Buffer[] = []
  readonly #tail: Buffer[] = []
  #headBytes = 0
  #tailBytes = 0
  #bytes = 0

  constructor(bytesMax: number) {
    this.#headBytesMax = Math.floor(bytesMax / 4)
    this.#tailBytesMax = bytesMax - this.#headBytesMax
  }

  write(chunk: Buffer): void {
    this.#bytes += chunk.length
    const headBytes = Math.min(chunk.length, this.#headBytesMax - this.#headBytes)
    if (headBytes > 0) this.#head.push(Buffer.from(chunk.subarray(0, headBytes)))
    this.#headBytes += headBytes
    // A copy: a slice would keep the whole pool chunk behind it alive.
    const rest = Buffer.from(chunk.subarray(headBytes).subarray(-this.#tailBytesMax))
    if (rest.length > 0) this.#tail.push(rest)
    this.#tailBytes += rest.length
    this.#trim()
  }

  get truncated(): boolean {
    return this.#bytes > this.#headBytesMax + this.#tailBytesMax
  }

  /** What was kept, as UTF-8; a character cut by the bound becomes U+FFFD. */
  toString(): string {
    const tail = Buffer.concat(this.#tail).subarray(-this.#tailBytesMax)
    if (!this.truncated) return Buffer.concat([...this.#head, tail]).toString('utf8')
    const missing = this.#bytes - this.#headBytes - tail.length
    return `${Buffer.concat(this.#head)}\n[… ${missing} bytes left out …]\n${tail}`
  }

  /** Drops whole chunks while what follows them fills the tail; `toString` cuts the last one. */
  #trim(): void {
    let first = this.#tail[0]
    while (first !== undefined && this.#tailBytes - first.length >= this.#tailBytesMax) {
      this.#tail.shift()
      this.#tailBytes -= first.length
      first = this.#tail[0]
    }
  }
}
