import { setImmediate } from 'node:timers/promises'
import type { SessionStore } from '@anthropic-ai/claude-agent-sdk'
import type { Clock } from '../clock.ts'
import { uuidOf } from '../ids.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/open.ts'
import { throughOutage } from '../store/outage.ts'
import { appendTranscript, listTranscriptSubpaths, loadTranscript } from '../store/transcripts.ts'
import { type Fields, fieldsOf, listOf, textOf } from './fields.ts'

/** Entries of one append; a conversation found on disk is taken over in batches. */
const batchMax = 200
/** Ids that are remembered. A conversation has a few a turn; a forged one cannot fill the memory. */
const idsMax = 500_000
/**
 * While the database is away an append is tried again for this long. The SDK waits for one for 60 s,
 * and then drops the entries: the last try begins by then, and hangs for 40 s at most.
 */
const appendMsMax = 15_000

interface Waiter {
  readonly ids: readonly string[]
  readonly resolve: () => void
}

/**
 * A conversation as it is stored: what the SDK writes goes in while it is written, and a later
 * attempt takes it out again. It knows which tool calls are stored, so that the gateway can hold
 * back a model request until the turn before it is safe.
 */
export class Transcript {
  readonly #store: Pick<Store, 'db'>
  readonly #sessionId: string
  readonly #attempt: number
  readonly #clock: Clock
  readonly #log: Log
  readonly #signal: AbortSignal
  readonly #conversationId: string
  /** Ids of stored entries, messages and tool calls. */
  readonly #stored = new Set<string>()
  readonly #waiters = new Set<Waiter>()
  #lastUuid: string | null = null
  /** No agent of the session was ever started, in any attempt. */
  #isUntouched: boolean
  /** The SDK's last append; never rejects. */
  #underWay: Promise<void> = Promise.resolve()

  constructor(o: {
    readonly store: Pick<Store, 'db'>
    readonly sessionId: string
    readonly attempt: number
    readonly clock: Clock
    readonly log: Log
    /** Aborts when the session is another attempt's: nothing is tried again from then on. */
    readonly signal: AbortSignal
  }) {
    this.#store = o.store
    this.#sessionId = o.sessionId
    this.#attempt = o.attempt
    this.#isUntouched = o.attempt === 1
    this.#clock = o.clock
    this.#log = o.log
    this.#signal = o.signal
    this.#conversationId = uuidOf(o.sessionId)
  }

  get isUntouched(): boolean {
    return this.#isUntouched
  }

  /**
   * The SDK's mirror. `load` answers null on purpose: the SDK would write the transcript to a
   * directory of this host, where the sandbox cannot see it, after copying files out of a
   * directory that belongs to the sandbox. `resume.ts` puts it where it is needed.
   */
  sdkStore(): SessionStore {
    this.#isUntouched = false
    return {
      append: (key, entries) => {
        const appended = this.#append(key.sessionId, key.subpath ?? '', entries)
        this.#underWay = appended.catch(() => undefined) // The SDK hears of it, and tries again.
        return appended
      },
      load: () => Promise.resolve(null),
      listSubkeys: () => Promise.resolve([]),
    }
  }

  /** Resolves when nothing that the SDK has written is still on its way into the store. */
  async settled(): Promise<void> {
    for (let last: Promise<void> | null = null; last !== this.#underWay; ) {
      last = this.#underWay
      await last
      // It writes one batch after the other, each as soon as the one before is stored.
      await setImmediate()
    }
  }

  /** Whether there is a stored conversation to go on with. Fills in what is stored. */
  async exists(): Promise<boolean> {
    const entries = await this.#load('')
    this.#remember(entries)
    this.#lastUuid = entries.map((entry) => textOf(entry['uuid'])).findLast(Boolean) ?? null
    return entries.some(isMessage)
  }

  /**
   * Whether a message with this UUID, or a tool call with this id, is in the stored conversation;
   * call `exists` before.
   */
  has(id: string): boolean {
    return this.#stored.has(id)
  }

  /**
   * Resolves once the stored conversation `has` every one of these; call `exists` before. Rejects
   * after `timeoutMs`, naming how many are missing.
   */
  waitFor(
    ids: readonly string[],
    o: { readonly timeoutMs: number; readonly clock: Clock },
  ): Promise<void> {
    if (this.#has(ids)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = o.clock.after(o.timeoutMs, () => {
        this.#waiters.delete(waiter)
        const missing = ids.filter((id) => !this.#stored.has(id)).length
        reject(new Error(`${missing} entries were not stored within ${o.timeoutMs} ms`))
      })
      const waiter: Waiter = {
        ids,
        resolve: () => {
          timer.cancel()
          resolve()
        },
      }
      this.#waiters.add(waiter)
    })
  }

  /**
   * Whether `entries`, found on a disk, reach as far as what is stored. They do not where another
   * node has carried on since. Call `exists` before.
   */
  isCoveredBy(entries: readonly Fields[]): boolean {
    const last = this.#lastUuid
    return last === null || entries.some((entry) => entry['uuid'] === last)
  }

  /** Takes in entries that a process wrote and did not live to mirror. */
  async adopt(entries: readonly Fields[]): Promise<void> {
    const missing = entries.filter((entry) => {
      const uuid = textOf(entry['uuid'])
      return uuid !== '' && !this.#stored.has(uuid)
    })
    for (let from = 0; from < missing.length; from += batchMax) {
      await this.#append(this.#conversationId, '', missing.slice(from, from + batchMax))
    }
    if (missing.length > 0) {
      this.#log.info(
        { sessionId: this.#sessionId, entries: missing.length },
        'transcript completed',
      )
    }
  }

  /** The stored conversation and its subagents' ('' is the conversation's own subpath). */
  async *stored(): AsyncGenerator<{ subpath: string; entries: readonly Fields[] }> {
    const { db } = this.#store
    const of = { sessionId: this.#sessionId, conversationId: this.#conversationId }
    for (const subpath of ['', ...(await listTranscriptSubpaths(db, of))]) {
      yield { subpath, entries: await this.#load(subpath) }
    }
  }

  async #load(subpath: string): Promise<Fields[]> {
    const of = { sessionId: this.#sessionId, conversationId: this.#conversationId, subpath }
    return ((await loadTranscript(this.#store.db, of)) ?? []).map(fieldsOf)
  }

  async #append(
    conversationId: string,
    subpath: string,
    entries: readonly object[],
  ): Promise<void> {
    const batch = {
      sessionId: this.#sessionId,
      attempt: this.#attempt,
      key: { projectKey: this.#sessionId, conversationId, subpath },
      entries,
    }
    // An entry that a lost answer left in the store is skipped.
    await throughOutage({ clock: this.#clock, ms: appendMsMax, signal: this.#signal }, () =>
      appendTranscript(this.#store.db, batch),
    )
    this.#remember(entries.map(fieldsOf))
    for (const waiter of this.#waiters) {
      if (!this.#has(waiter.ids)) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  #has(ids: readonly string[]): boolean {
    return ids.every((id) => this.#stored.has(id))
  }

  #remember(entries: readonly Fields[]): void {
    for (const id of entries.flatMap(idsIn)) {
      if (this.#stored.size < idsMax) this.#stored.add(id)
    }
  }
}

function isMessage(entry: Fields): boolean {
  return entry['type'] === 'user' || entry['type'] === 'assistant'
}

/** What is stored, beside a call's own id, once its result is. */
export function resultOf(toolUseId: string): string {
  return `result of ${toolUseId}`
}

/**
 * Ids of the entry, of its message, of the tool calls in it and of results; and of the messages that came with
 * it: in the middle of a turn they are attachments, and several that came at once are one entry.
 */
function idsIn(entry: Fields): string[] {
  const message = fieldsOf(entry['message'])
  const blocks = listOf(message['content']).map(fieldsOf)
  const calls = blocks
    .filter((block) => block['type'] === 'tool_use')
    .map((block) => textOf(block['id']))
  const results = blocks
    .filter((block) => block['type'] === 'tool_result')
    .map((block) => resultOf(textOf(block['tool_use_id'])))
  const said = [fieldsOf(entry['attachment'])['source_uuid'], ...listOf(entry['mergedSendUuids'])]
  return [entry['uuid'], message['id'], ...said, ...calls, ...results]
    .map(textOf)
    .filter((id) => id !== '')
}
