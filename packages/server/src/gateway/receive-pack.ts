/** One ref update that a push asks for. */
export interface RefCommand {
  readonly oldId: string
  readonly newId: string
  readonly ref: string
}

/**
 * What a push asks for, once its command section is complete. `malformed` is not the protocol, or
 * more than an honest client sends.
 */
export type PushVerdict =
  | { readonly kind: 'more' }
  | { readonly kind: 'allowed' }
  | {
      readonly kind: 'refused'
      readonly commands: readonly RefCommand[]
      readonly capabilities: readonly string[]
      readonly why: string
    }
  | { readonly kind: 'malformed'; readonly why: string }

/** The only refs a push may touch. */
const refPrefix = 'refs/heads/agent/'
/** Branches in one push; a task has one. */
const refsMax = 16
/** Commands and capabilities together; the pack comes after. */
const sectionBytesMax = 64 * 1024
const lengthDigits = 4

/**
 * Reads the command section of a `git-receive-pack` request (gitprotocol-pack: pkt-lines up to the
 * first flush) from chunks of any size, and judges it: every command must create or update a valid
 * ref below `refs/heads/agent/`. Pure: it keeps no more than the section itself.
 */
export class ReceivePackParser {
  #pending: Buffer = Buffer.alloc(0)
  #sectionBytes = 0
  readonly #capabilities: string[] = []
  readonly #commands: RefCommand[] = []
  #verdict: PushVerdict = { kind: 'more' }

  /** Takes the next bytes. After a verdict other than `more` it stays the same. */
  push(chunk: Buffer): PushVerdict {
    if (this.#verdict.kind !== 'more') return this.#verdict
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#verdict.kind === 'more') {
      const line = this.#nextLine()
      if (line === 'more') break
      this.#verdict =
        line === 'flush' ? this.#judge() : line === 'broken' ? broken : this.#take(line)
    }
    return this.#verdict
  }

  /** The next pkt-line's content. Only flush (0000) is a special packet here. */
  #nextLine(): Buffer | 'more' | 'flush' | 'broken' {
    if (this.#pending.length < lengthDigits) return 'more'
    const digits = this.#pending.toString('latin1', 0, lengthDigits)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) return 'broken'
    const length = Number.parseInt(digits, 16)
    if (length === 0) return 'flush'
    if (length <= lengthDigits || this.#sectionBytes + length > sectionBytesMax) return 'broken'
    if (this.#pending.length < length) return 'more'
    const line = this.#pending.subarray(lengthDigits, length)
    this.#pending = this.#pending.subarray(length)
    this.#sectionBytes += length
    return line
  }

  #take(line: Buffer): PushVerdict {
    const text = line.toString('utf8').replace(/\n$/, '')
    if (/^shallow (?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) return { kind: 'more' }
    const [command = '', ...capabilities] = text.split('\0')
    // Clients send them with the first command, but git reads them off any.
    this.#capabilities.push(...capabilities.join(' ').split(' '))
    const [, oldId, newId, ref] = commandLine.exec(command) ?? []
    if (oldId === undefined || newId === undefined || ref === undefined) {
      if (command.startsWith('push-cert')) return signed
      return broken
    }
    this.#commands.push({ oldId, newId, ref })
    return this.#commands.length > refsMax ? tooMany : { kind: 'more' }
  }

  /** A push without commands is git's probe before a large one; it changes nothing. */
  #judge(): PushVerdict {
    const why = this.#capabilities.includes('push-options')
      ? 'Push options are not allowed.'
      : (this.#commands.map(problemOf).find((problem) => problem !== null) ?? null)
    if (why === null) return { kind: 'allowed' }
    return { kind: 'refused', commands: this.#commands, capabilities: this.#capabilities, why }
  }
}

const commandLine = /^([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([^ ]{1,1024})$/
const broken: PushVerdict = { kind: 'malformed', why: 'The push is not in the form git sends.' }
const signed: PushVerdict = { kind: 'malformed', why: 'Signed pushes are not allowed.' }
const tooMany: PushVerdict = {
  kind: 'malformed',
  why: `A push may update at most ${refsMax} branches.`,
}

function problemOf(command: RefCommand): string | null {
  if (!command.ref.startsWith(refPrefix))
    return `Only branches below ${refPrefix} may be pushed from a sandbox.`
  if (/^0+$/.test(command.newId)) return 'Branches may not be deleted from a sandbox.'
  if (!isValidRef(command.ref)) return 'That is not a valid branch name.'
  return null
}

/** The rules of git check-ref-format, and no characters beyond what a URL or a log can carry. */
function isValidRef(ref: string): boolean {
  return (
    ref.length <= 255 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those must not be in a ref.
    !/[\x00-\x20\x7f~^:?*[\\\ufffd]|\.\.|@\{/.test(ref) &&
    ref.split('/').every((part) => part !== '' && !/^\.|\.$|\.lock$/.test(part))
  )
}

/**
 * The answer that makes git print the reason beside each branch (`! [remote rejected] …`). A 403
 * would only read "RPC failed", followed by "Everything up-to-date". Null if the client did not
 * ask for a report, or named nothing to report on.
 */
export function refusalReport(o: {
  commands: readonly RefCommand[]
  capabilities: readonly string[]
  why: string
}): Buffer | null {
  const wanted = o.capabilities.some(
    (name) => name === 'report-status' || name === 'report-status-v2',
  )
  if (!wanted || o.commands.length === 0) return null
  const lines = ['unpack ok\n', ...o.commands.map((command) => `ng ${command.ref} ${o.why}\n`)]
  const report = Buffer.concat([...lines.map((line) => packet(Buffer.from(line))), flush])
  const sideband = o.capabilities.some((name) => /^side-band(?:-64k)?$/.test(name))
  if (!sideband) return report
  const bands = Array.from({ length: Math.ceil(report.length / bandBytes) }, (_, at) =>
    packet(Buffer.concat([reportBand, report.subarray(at * bandBytes, (at + 1) * bandBytes)])),
  )
  return Buffer.concat([...bands, flush])
}

const flush = Buffer.from('0000')
const reportBand = Buffer.from([1])
/** Fits the smaller of the two side-band packets (1000 bytes). */
const bandBytes = 900

function packet(content: Buffer): Buffer {
  const length = (content.length + lengthDigits).toString(16).padStart(lengthDigits, '0')
  return Buffer.concat([Buffer.from(length), content])
}
