import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk'
import type { Clock, Timer } from '../clock.ts'
import { classifyResult } from './classify.ts'
import type { TurnEnd, TurnFailed } from './turn-end.ts'
import {
  abandon,
  advance,
  beginTurn,
  expect,
  newSession,
  phaseOf,
  type TurnState,
} from './turn-state.ts'

/** Commands that the model left in the background get this long after its last message. */
const lingerMsMax = 60_000
/** The turn that follows the end of something in the background starts within 40 ms on a calm machine. */
const settleMs = 3000

/** What a turn asks of the session that it is a turn of. */
interface Controls {
  /** Stops a task in the background. Never rejects. */
  stopTask(taskId: string): Promise<void>
}

/**
 * The timers around `turn-state.ts`: follows one session's messages, and tells how each of its
 * turns ended. The first end wins.
 */
export class Turns {
  readonly #clock: Clock
  readonly #stallMs: number
  readonly #deadline: number
  readonly #controls: Controls
  #state: TurnState = newSession
  #turn: { readonly resolve: (end: TurnEnd) => void; readonly deadline: Timer } | null = null
  /** The wait of the phase that the turn is in. */
  #phase = ''
  #wait: Timer | null = null
  #hasBegun = false

  constructor(o: {
    readonly clock: Clock
    readonly stallMs: number
    /** As `Clock.elapsed` counts. */
    readonly deadline: number
    readonly controls: Controls
  }) {
    this.#clock = o.clock
    this.#stallMs = o.stallMs
    this.#deadline = o.deadline
    this.#controls = o.controls
  }

  /** Whether the session has said anything since the turn began. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  get isOpen(): boolean {
    return this.#turn !== null
  }

  /** Begins a turn; resolves with its end. One at a time: throws while another is open. */
  begin(): Promise<TurnEnd> {
    if (this.#turn !== null) throw new Error('a turn is open already')
    this.#state = beginTurn(this.#state)
    this.#hasBegun = false
    const { promise, resolve } = Promise.withResolvers<TurnEnd>()
    const remainingMs = Math.max(0, this.#deadline - this.#clock.elapsed())
    const deadline = this.#clock.after(remainingMs, () => this.end(timedOut))
    this.#turn = { resolve, deadline }
    this.#follow()
    return promise
  }

  /** A message with this UUID is about to be sent: the turn ends after it was dealt with. */
  said(uuid: string): void {
    this.#state = expect(this.#state, uuid)
  }

  /** A message of the session, inside a turn or between two. */
  heard(message: SDKMessage): void {
    this.#hasBegun = true
    this.#state = advance(this.#state, message)
    this.#follow()
  }

  /** Ends the open turn, if there is one, for a reason from outside. */
  end(end: TurnEnd): void {
    const turn = this.#turn
    if (turn === null) return
    this.#turn = null
    this.#phase = ''
    this.#wait?.cancel()
    turn.deadline.cancel()
    turn.resolve(end)
  }

  /** Arms what the present phase waits for. Only a stall is measured from the last message. */
  #follow(): void {
    if (this.#turn === null) return
    const phase = phaseOf(this.#state)
    const isNew = phase.kind !== this.#phase
    this.#phase = phase.kind
    if (isNew || phase.kind === 'working') this.#wait?.cancel()
    else return
    switch (phase.kind) {
      case 'working': {
        const silenceMs = this.#stallMs + this.#state.announcedSilenceMs
        this.#wait = this.#clock.after(silenceMs, () => this.end(stalled(silenceMs)))
        return
      }
      case 'waiting':
        return
      case 'lingering':
        this.#wait = this.#clock.after(lingerMsMax, () => this.#stop())
        return
      case 'settling':
        this.#wait = this.#clock.after(settleMs, () => this.#settle())
        return
      case 'over':
        this.end(classifyResult(phase.result))
    }
  }

  #stop(): void {
    const phase = phaseOf(this.#state)
    if (phase.kind !== 'lingering') return
    this.#state = abandon(this.#state, phase.taskIds)
    const stopped = Promise.all(phase.taskIds.map((id) => this.#controls.stopTask(id)))
    stopped.then(
      () => this.#follow(),
      () => this.#follow(),
    )
  }

  #settle(): void {
    this.#state = { ...this.#state, isNotified: false }
    this.#follow()
  }
}

const timedOut: TurnFailed = {
  kind: 'failed',
  reason: 'timed_out',
  message: 'The task reached its time limit while the agent worked.',
  retry: 'never',
}

function stalled(silenceMs: number): TurnFailed {
  const message = `The agent gave no sign of life for ${Math.round(silenceMs / 1000)} seconds.`
  return { kind: 'failed', reason: 'stalled', message, retry: 'never' }
}
