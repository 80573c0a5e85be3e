import { flushPacket, PktLines, pktLine } from './pkt-lines.ts'

/** One ref update that a push asks for. */
export interface RefCommand {
  readonly oldId: string
  readonly newId: string
  readonly ref: string
}

/** The command section of a push, read. */
interface PushRequest {
  readonly commands: readonly RefCommand[]
  readonly capabilities: readonly string[]
}

/**
 * What a push asks for, once its command section is complete. `malformed` is not the protocol, or
 * more than an honest client sends.
 */
export type PushVerdict =
  | { readonly kind: 'more' }
  | ({ readonly kind: 'allowed' } & PushRequest)
  | ({ readonly kind: 'refused'; readonly why: string } & PushRequest)
  | { readonly kind: 'malformed'; readonly why: string }

/** Branches in one push; a task has one. */
const refsMax = 16
/** Commands and capabilities together; the pack comes after. */
const sectionBytesMax = 64 * 1024

/**
 * Reads the command section of a `git-receive-pack` request (gitprotocol-pack: pkt-lines up to the
 * first flush) from chunks of any size, and judges it: every command must create or update one of
 * `refs`, compared exactly. Pure: it keeps no more than the section itself.
 */
export class ReceivePackParser {
  readonly #refs: readonly string[]
  readonly #lines = new PktLines()
  #sectionBytes = 0
  readonly #capabilities: string[] = []
  readonly #commands: RefCommand[] = []
  #verdict: PushVerdict = { kind: 'more' }

  constructor(refs: readonly string[]) {
    this.#refs = refs
  }

  /** Takes the next bytes. After a verdict other than `more` it stays the same. */
  push(chunk: Buffer): PushVerdict {
    if (this.#verdict.kind !== 'more') return this.#verdict
    this.#lines.push(chunk)
    while (this.#verdict.kind === 'more') {
      const line = this.#lines.next()
      if (line === 'more') break
      this.#verdict =
        line === 'flush' ? this.#judge() : line === 'broken' ? broken : this.#take(line)
    }
    return this.#verdict
  }

  #take(line: Buffer): PushVerdict {
    this.#sectionBytes += line.length
    if (this.#sectionBytes > sectionBytesMax) return broken
    const text = line.toString('utf8').replace(/\n$/, '')
    if (/^shallow (?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) return { kind: 'more' }
    const [command = '', ...capabilities] = text.split('\0')
    // Clients send them with the first command, but git reads them off any, between any white space.
    this.#capabilities.push(...capabilities.join(' ').split(/\s+/))
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
    // A host that knows `push-options` takes `push-options=1` for it as well.
    const why = this.#capabilities.some((each) => each.split('=')[0] === 'push-options')
      ? 'Push options are not allowed.'
      : (this.#commands.map((each) => this.#problemOf(each)).find((why) => why !== null) ?? null)
    const request = { commands: this.#commands, capabilities: this.#capabilities }
    return why === null ? { kind: 'allowed', ...request } : { kind: 'refused', why, ...request }
  }

  #problemOf({ ref, newId }: RefCommand): string | null {
    if (!this.#refs.includes(ref))
      return `Only ${this.#refs.join(' and ')} may be pushed from a sandbox.`
    return /^0+$/.test(newId) ? 'Branches may not be deleted from a sandbox.' : null
  }
}

const commandLine = /^([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) ([^ ]{1,1024})$/
const broken: PushVerdict = { kind: 'malformed', why: 'The push is not in the form git sends.' }
const signed: PushVerdict = { kind: 'malformed', why: 'Signed pushes are not allowed.' }
const tooMany: PushVerdict = {
  kind: 'malformed',
  why: `A push may update at most ${refsMax} branches.`,
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
  const report = Buffer.concat([...lines.map((line) => pktLine(Buffer.from(line))), flush])
  const sideband = o.capabilities.some((name) => /^side-band(?:-64k)?$/.test(name))
  if (!sideband) return report
  const bands = Array.from({ length: Math.ceil(report.length / bandBytes) }, (_, at) =>
    pktLine(Buffer.concat([reportBand, report.subarray(at * bandBytes, (at + 1) * bandBytes)])),
  )
  return Buffer.concat([...bands, flush])
}

const flush = Buffer.from(flushPacket)
const reportBand = Buffer.from([1])
/** Fits the smaller of the two side-band packets (1000 bytes). */
const bandBytes = 900
