import type { Clock } from '../clock.ts'

/** Below the events of a model's stream, which have a hundred bytes and more. */
const tinyBytesMax = 64
/** A small body is no flood, however many of them there are. */
export const freePiecesMax = 16
const windowMs = 1000

/**
 * Pieces of bodies that are too small for what they cost: each chunk of a body takes some 16 µs of the
 * event loop, be it one byte, and a packet holds ten thousand such chunks. What may come within a second is
 * a number of pieces, not a share of all, so a stream may consist of them and go on for ever.
 */
export class TinyPieces {
  readonly #clock: Clock
  readonly #piecesMax: number
  readonly #cuts = new Set<() => void>()
  #since = 0
  #pieces = 0

  /** `piecesMax`: within a second. */
  constructor(o: { readonly clock: Clock; readonly piecesMax: number }) {
    this.#clock = o.clock
    this.#piecesMax = o.piecesMax
  }

  /** Calls `cut` whenever there are too many, whoever sent them: what is cut is not read any more. */
  onFlood(cut: () => void): Disposable {
    this.#cuts.add(cut)
    return { [Symbol.dispose]: () => this.#cuts.delete(cut) }
  }

  /** Counts a piece; false: it is one too many. */
  take(piece: Uint8Array): boolean {
    if (piece.length >= tinyBytesMax) return true
    const now = this.#clock.elapsed()
    if (now - this.#since >= windowMs) {
      this.#since = now
      this.#pieces = 0
    }
    this.#pieces += 1
    if (this.#pieces <= this.#piecesMax) return true
    for (const cut of this.#cuts) cut()
    return false
  }
}
