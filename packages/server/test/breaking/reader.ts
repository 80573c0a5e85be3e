import { setTimeout as sleep } from 'node:timers/promises'
import { collect } from '../delivery/reader.ts'
import { testKey } from '../support/server-api.ts'
import type { Node } from './node.ts'
import type { Random } from './random.ts'

/** A reader's numbers, as they came over the stream. */
export interface Reading {
  readonly numbers: readonly number[]
  /** Ends it. */
  stop(): Promise<void>
}

const pauseMs = 300

/** Follows a session's stream on whatever node is there, and resumes where the one before broke off. */
export function follow(
  sessionId: string,
  { nodes, random }: { readonly nodes: readonly Node[]; readonly random: Random },
): Reading {
  const numbers: number[] = []
  const stopping = new AbortController()
  const once = async (): Promise<void> => {
    const there = nodes.flatMap(({ server }) => server ?? [])
    if (there.length === 0) return
    const after = numbers.at(-1) ?? 0
    const { url } = random.pick(there)
    // A node that is stopped holds its connections: the reader turns to another one after a while.
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(20_000)])
    const answer = await fetch(`${url}/v1/sessions/${sessionId}/events/stream?after=${after}`, {
      headers: { authorization: `Bearer ${testKey}` },
      signal,
    })
    if (!answer.ok) return
    const { messages, done } = collect(answer.body)
    await done
    for (const { id, event } of messages)
      if (id !== undefined && event !== 'event_delta') numbers.push(Number(id))
  }
  const reading = (async () => {
    while (!stopping.signal.aborted) {
      // A node that went away is what this is about.
      await once().catch(() => undefined)
      await sleep(pauseMs)
    }
  })()
  return {
    numbers,
    async stop() {
      stopping.abort()
      await reading
    },
  }
}
