import { setImmediate } from 'node:timers/promises'
import { formsOf } from './forms.ts'
import { Needles } from './needles.ts'
import { ScrubbedText } from './scrubbed-text.ts'
import { scrubbedValue, type Texts } from './values.ts'

/** Secrets that are known for a time only; beyond them the oldest are forgotten. */
const passingMax = 5000
/** Characters that are looked through at once: less than a millisecond, and some ten of the worst there is. */
const turnChars = 4 * 1024
/** What a text costs that is empty. */
const turnCharsMin = 16

/** Runs a step when it is its turn. */
export type InTurn = <T>(step: () => T) => Promise<T>

/**
 * Takes secrets out of texts, as they are or in any of the usual encodings: JSON, URLs, HTML, base64
 * and hex. What disguises them in another way is not found. What is left never depends on a part of
 * a secret, or it could be guessed character by character.
 */
export class Scrubber {
  readonly #secrets: Set<string>
  /** Until when, in epoch milliseconds; the oldest first. */
  readonly #passing = new Map<string, number>()
  /** By their kind, those that one place knows and keeps up to date. */
  readonly #kept = new Map<string, ReadonlySet<string>>()
  #needles = new Needles()
  #hasSpaces = false

  /** Secrets are printable ASCII of 8 characters or more; shorter ones would be found everywhere. */
  constructor(secrets: readonly string[]) {
    this.#secrets = new Set(secrets)
    for (const secret of secrets) this.#add(secret)
  }

  /** From now on, these are secret, too. */
  learn(secrets: readonly string[]): void {
    for (const secret of secrets) {
      this.#secrets.add(secret)
      this.#add(secret)
    }
  }

  /** The same, for one that is worth nothing after `until` (epoch milliseconds); so is `now`. */
  learnUntil(secret: string, o: { readonly until: number; readonly now: number }): void {
    this.#passing.delete(secret)
    this.#passing.set(secret, o.until)
    this.#add(secret)
    const past = [...this.#passing].filter(([, until]) => until < o.now).map(([each]) => each)
    const tooMany = [...this.#passing.keys()].slice(0, Math.max(0, this.#passing.size - passingMax))
    for (const each of [...past, ...tooMany]) this.#passing.delete(each)
    if (past.length + tooMany.length > 0) this.#forget()
  }

  /** From now on these are what is secret of their kind, and no others: whoever knows says it anew. */
  keep(kind: string, secrets: readonly string[]): void {
    const before = this.#kept.get(kind) ?? new Set<string>()
    const now = new Set(secrets)
    this.#kept.set(kind, now)
    if (!before.values().every((each) => now.has(each))) this.#forget()
    else for (const each of now) if (!before.has(each)) this.#add(each)
  }

  text(text: string): string {
    let done = ''
    let from = 0
    for (let found = this.#needles.find(text, 0); found; found = this.#needles.find(text, from)) {
      done += text.slice(from, found.at) + mark
      from = found.end
    }
    return from === 0 ? text : done + text.slice(from)
  }

  /** Every text in a JSON value, names of fields as well; the same value where there is no secret. */
  value<T>(value: T): T
  value(value: unknown): unknown {
    const texts = (text: string) => ended(this.text(text))
    return scrubbedValue(value, texts).next().value
  }

  /**
   * The same, but others get a turn after every 4 Ki characters: what an agent says may have
   * megabytes, and be written such that a kilobyte takes a millisecond.
   */
  valueInTurns<T>(value: T, inTurn?: InTurn): Promise<T>
  async valueInTurns(value: unknown, inTurn: InTurn = inNextRound): Promise<unknown> {
    const steps = scrubbedValue(value, this.#turns())
    let step = steps.next()
    while (step.done !== true) step = await inTurn(() => steps.next())
    return step.value
  }

  /** The same for bytes. */
  async bytesInTurns(bytes: Buffer): Promise<Buffer> {
    // One character a byte: every form is ASCII, and no other character is torn apart.
    const text = bytes.toString('latin1')
    const scrubbed = await this.valueInTurns(text)
    return scrubbed === text ? bytes : Buffer.from(scrubbed, 'latin1')
  }

  /** A text that may be JSON, and is JSON afterwards if it was. */
  json(text: string): string {
    if (this.#needles.find(text, 0) === null) return text
    const parsed = parseJson(text, (number) => this.text(number))
    return parsed === undefined ? this.text(text) : JSON.stringify(this.value(parsed))
  }

  /**
   * The start of a text that was cut at its end, which may have cut a secret in two: as much is left
   * out as a secret could take, whatever it says.
   */
  cut(text: string): string {
    const scrubbed = this.text(text)
    return scrubbed.slice(0, Math.max(0, scrubbed.length - this.#tail))
  }

  /** A text that comes in pieces. */
  pieces(): ScrubbedText {
    return new ScrubbedText({
      needles: () => this.#needles,
      mark,
      tail: this.#tail,
      hasSpaces: this.#hasSpaces,
    })
  }

  /**
   * The same bytes, a turn for each 4 Ki of them; the end of a line that has not ended waits, as much
   * as a secret could take.
   */
  async *stream(chunks: AsyncIterable<Buffer>, inTurn: InTurn): AsyncGenerator<Buffer> {
    const pieces = this.pieces()
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += turnChars) {
        const piece = chunk.toString('latin1', at, at + turnChars)
        const text = await inTurn(() => pieces.push(piece))
        if (text !== '') yield Buffer.from(text, 'latin1')
      }
    }
    const rest = await inTurn(() => pieces.end())
    if (rest !== '') yield Buffer.from(rest, 'latin1')
  }

  #turns(): Texts {
    let left = turnChars
    const whole = (text: string) => this.text(text)
    const open = () => this.pieces()
    return function* inTurns(text) {
      left -= text.length + turnCharsMin
      if (left > 0) return whole(text)
      let scrubbed = ''
      const pieces = open()
      for (let at = 0; at < text.length; at += turnChars) {
        yield
        scrubbed += pieces.push(text.slice(at, at + turnChars))
      }
      scrubbed += pieces.end()
      left = turnChars
      return scrubbed === text ? text : scrubbed
    }
  }

  /** Characters that any form takes, at most, less one. */
  get #tail(): number {
    return Math.max(0, this.#needles.longest - 1)
  }

  /** What is known, and nothing that was. */
  #forget(): void {
    this.#needles = new Needles()
    const kept = [...this.#kept.values()].flatMap((each) => [...each])
    for (const each of [...this.#secrets, ...this.#passing.keys(), ...kept]) this.#add(each)
  }

  #add(secret: string): void {
    for (const form of formsOf(secret)) {
      this.#needles.add(form)
      this.#hasSpaces ||= form.includes(' ')
    }
  }
}

const mark = '[secret]'

async function inNextRound<T>(step: () => T): Promise<T> {
  await setImmediate()
  return step()
}

/** It takes no turns. */
// biome-ignore lint/correctness/useYield: it is one of those that may.
function* ended(text: string): Generator<undefined, string> {
  return text
}

/** Undefined: it is none, or a text or number of its own. Long numbers lose digits, so they are scrubbed first. */
function parseJson(text: string, scrub: (number: string) => string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text, (_: string, value: unknown, context?: { readonly source?: string }) => {
      const source = context?.source
      if (typeof value !== 'number' || source === undefined) return value
      const scrubbed = scrub(source)
      return scrubbed === source ? value : scrubbed
    })
  } catch {
    return undefined
  }
}
