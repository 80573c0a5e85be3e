import type { Clock, Timer } from '../clock.ts'
import type { Followed } from './follow.ts'

/** Milliseconds that a reader may leave a frame untaken before its connection is cut. */
const writeMsMax = 30_000

/**
 * A Server-Sent Events body that is made as fast as it is read: one frame at a time, nothing is
 * kept for a slow reader. `stop` ends the source when the reader goes away; `cut` is called when it
 * takes nothing for 30 s.
 */
export function sseStream(
  followed: AsyncGenerator<Followed>,
  o: { readonly clock: Clock; readonly stop: AbortController; readonly cut: () => void },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let stalled: Timer | undefined
  let first = true
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        stalled?.cancel()
        // The first bytes leave at once, so that a proxy and the reader know that the stream is open.
        const next = first ? opening : await followed.next()
        first = false
        if (o.stop.signal.aborted && next.done !== true) await followed.return(undefined)
        if (next.done === true || o.stop.signal.aborted) return controller.close()
        const frame = typeof next.value === 'string' ? next.value : frameOf(next.value)
        controller.enqueue(encoder.encode(frame))
        stalled = o.clock.after(writeMsMax, o.cut)
      },
      async cancel() {
        stalled?.cancel()
        o.stop.abort()
        await followed.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}

/** Official clients throw what an `error` event holds; every client may resume by number. */
const broken = {
  type: 'error',
  error: { type: 'api_error', message: 'The events cannot be read now: resume from the last one.' },
} as const

const opening = { done: false, value: ': open\n\n' } as const

function frameOf(followed: Followed): string {
  switch (followed.kind) {
    case 'event': {
      const { seq, type } = followed.event
      return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(followed.event)}\n\n`
    }
    case 'delta':
      return `event: ${followed.event['type']}\ndata: ${JSON.stringify(followed.event)}\n\n`
    case 'ping':
      return ': ping\n\n'
    case 'broken':
      return `event: error\ndata: ${JSON.stringify(broken)}\n\n`
  }
}
