import { appendEvents, type NewEvent } from '../events/append.ts'
import {
  finishCheckpoint,
  getCheckpoint,
  renewCheckpoint,
  storeCheckpoint,
} from '../store/checkpoints.ts'
import { LeaseLost } from '../store/lease-lost.ts'
import { getSession } from '../store/sessions.ts'
import { CheckpointFailed, takeCheckpoint } from '../workspace/checkpoint.ts'
import { type Attempt, hasAgentBegun } from './phase.ts'

/** Looking may take this part of the time: after one that took a second there is none for nine. */
const restFactor = 9
const restMsMax = 60_000
/** Longest that the end of a round, or a task that is parked, waits for one. */
const settleMsMax = 60_000
/** One that fails while the agent changes files is no wonder; so many in a row are told. */
const failuresToldAt = 3

type Needs = Pick<Attempt, 'deps' | 'lease' | 'task' | 'writer' | 'journal' | 'branch'> & {
  readonly workspace: Pick<Attempt['workspace'], 'sandbox'>
  /** Aborted when nothing more may be written. */
  readonly lost: AbortSignal
}

/**
 * Keeps what the agent does where every node finds it: after each turn, beside the next one, a
 * checkpoint of what was changed goes into the store. One is taken at a time, in their order, and
 * there is a rest after each; nobody waits for one but who ends something. One that cannot be taken
 * costs nothing but itself.
 */
export class Checkpoints {
  readonly #o: Needs
  readonly #stop = new AbortController()
  /** Whether something may have been changed since the last one began. */
  #isDue = false
  #following: Promise<void> | null = null
  /** Who waits; there is no rest meanwhile, and one that has begun ends. */
  #waiting = 0
  #hurry = new AbortController()
  #restMs = 0
  /** The state that is stored; undefined: not known yet. */
  #last: { readonly commit: string | null } | null | undefined = undefined
  #failures = 0
  #isTooLarge = false

  constructor(o: Needs) {
    this.#o = o
  }

  /** A turn of the agent's may have changed something. */
  due(): void {
    this.#isDue = true
    this.#follow()
  }

  /** Resolves when what was due is stored, or cannot be, or after `msMax`. */
  async settle(msMax = settleMsMax): Promise<void> {
    if (this.#isDue) this.#follow()
    const { promise: late, resolve } = Promise.withResolvers<void>()
    using _timer = this.#o.deps.clock.after(msMax, resolve)
    this.#waiting += 1
    this.#hurry.abort()
    await Promise.race([this.#following, late])
    this.#waiting -= 1
  }

  /** Takes none any more; what is under way is given up. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('no checkpoint is taken any more'))
    this.#hurry.abort()
    await this.#following
  }

  #follow(): void {
    const { checkpointBytesMax } = this.#o.deps.config
    if (checkpointBytesMax === 0 || this.#stop.signal.aborted) return
    this.#following ??= this.#takeAll().finally(() => {
      this.#following = null
    })
  }

  /** Never rejects. Ends when nothing is due, or one failed: the next turn, or `settle`, tries again. */
  async #takeAll(): Promise<void> {
    const { clock } = this.#o.deps
    while (this.#isDue && !this.#stop.signal.aborted) {
      this.#hurry = new AbortController()
      const restMs = this.#waiting > 0 ? 0 : this.#restMs
      await clock.sleep(restMs, this.#hurry.signal).catch(() => undefined) // Somebody waits.
      if (this.#stop.signal.aborted) return
      this.#isDue = false
      const begun = clock.now()
      const isTaken = await this.#take()
      this.#restMs = Math.min(restMsMax, (clock.now() - begun) * restFactor)
      if (isTaken) continue
      this.#isDue = true
      return
    }
  }

  async #take(): Promise<boolean> {
    const { deps, task, lost } = this.#o
    const signal = AbortSignal.any([lost, this.#stop.signal])
    try {
      await this.#look(signal)
      this.#failures = 0
      return true
    } catch (error) {
      if (signal.aborted || error instanceof LeaseLost) return false
      deps.log.warn({ err: error, taskId: task.id }, 'no checkpoint could be taken')
      this.#failures += 1
      const message = error instanceof CheckpointFailed ? error.message : 'The store refused it.'
      if (this.#failures === failuresToldAt) await this.#tell({ reason: 'failed', message })
      return false
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { deps, lease, writer, journal, workspace, branch } = this.#o
    const { base, byProducts } = journal.progress
    if (base === undefined || !hasAgentBegun(journal.progress)) return
    const { db } = deps.store
    if (this.#last === undefined) {
      const found = await getCheckpoint(db, lease.sessionId)
      this.#last = found === undefined ? null : { commit: found.commit }
    }
    // What is in the log by now is what this one has.
    await writer.flush()
    const seq = (await getSession(db, lease.sessionId))?.last_seq ?? 0
    const bytesMax = deps.config.checkpointBytesMax
    const taken = await takeCheckpoint(
      { sandbox: workspace.sandbox, signal },
      {
        ...{ base: base.commit, branch, byProducts, bytesMax, clock: deps.clock },
        last: this.#last?.commit ?? null,
        store: ({ commit, content }) => this.#store({ commit, seq, content }),
      },
    )
    if (taken.kind === 'too_large') return this.#skip(bytesMax)
    this.#isTooLarge = false
    const isSame = taken.kind === 'same' || (taken.kind === 'clean' && this.#last?.commit === null)
    if (isSame) await renewCheckpoint(db, { ...lease, seq })
    else if (taken.kind === 'clean') await this.#store({ commit: null, seq, content: nothing() })
  }

  async #store(o: {
    readonly commit: string | null
    readonly seq: number
    readonly content: AsyncIterable<Buffer>
  }): Promise<void> {
    const { deps, lease } = this.#o
    const { commit, seq } = o
    const writer = { ...lease, now: new Date(deps.clock.now()) }
    let bytes = 0
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const piece of o.content) {
        bytes += piece.length
        yield piece
      }
    }
    const id = await storeCheckpoint(deps.store.db, { ...writer, commit, seq, content: counted() })
    // The one before is there until this one is, and the log says what is there.
    await deps.store.db.transaction().execute(async (trx) => {
      await finishCheckpoint(trx, { ...writer, id, bytes })
      const events =
        commit === null ? [] : [{ type: 'workspace.checkpoint', commit, bytes, of: seq }]
      await appendEvents(trx, { ...lease, events, clock: deps.clock })
    })
    this.#last = { commit }
  }

  /** The one before stays: it is better than none, and says how old it is. */
  async #skip(bytesMax: number): Promise<void> {
    if (this.#isTooLarge) return
    this.#isTooLarge = true
    const message = `What was changed is larger than a checkpoint may be (${bytesMax} bytes).`
    await this.#tell({ reason: 'too_large', message })
  }

  async #tell(said: { readonly reason: 'too_large' | 'failed'; readonly message: string }) {
    const event: NewEvent = { type: 'workspace.checkpoint_skipped', ...said }
    await this.#o.writer.write(event).catch(() => undefined) // A lost log is somebody else's.
  }
}

async function* nothing(): AsyncGenerator<Buffer> {
  // A workspace that is as it was cloned has nothing to keep.
}
