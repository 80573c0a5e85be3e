import { say, script, when } from '@longhaul/testing'
import { runBareSdk } from './bare-sdk.ts'
import { type Bench, median } from './entry.ts'
import { openPlace, type Place } from './place.ts'

/** Times that each of the two is started, by turns. */
const rounds = 7

/** How soon an order is seen, and how soon its agent asks the model. */
export const start: Bench = {
  entries: [
    {
      name: 'first-event',
      what: 'from the order to its first event at a reader of the stream (median)',
      unit: 'ms',
      aim: { atMost: 100 },
    },
    {
      name: 'first-model-request',
      what: 'from the order to its first model request, against a bare clone and cold start of the SDK (median)',
      unit: 'ratio',
      aim: { atMost: 1.5 },
    },
  ],
  async measure(signal) {
    await using place = await openPlace([script(when(/Say hello/, say('Hello.')))])
    const files = { 'README.md': 'A repository.\n' }
    const { url } = await place.github.createRepository({ owner: 'acme', name: 'small', files })
    const seen: number[] = []
    const asked: number[] = []
    const bare: number[] = []
    for (let round = 0; round < rounds; round += 1) {
      bare.push(await bareStart(place, { url, instructions: `Say hello, bare ${round}`, signal }))
      const { firstEventMs, firstRequestMs } = await orderedStart(place, {
        ...{ url, instructions: `Say hello, ordered ${round}`, signal },
      })
      seen.push(firstEventMs)
      asked.push(firstRequestMs)
    }
    return {
      'first-event': median(seen),
      'first-model-request': median(asked) / median(bare),
    }
  },
}

interface Start {
  readonly url: string
  readonly instructions: string
  readonly signal: AbortSignal
}

/** What somebody without a server does with the same order: clone, and start the SDK there. */
async function bareStart(place: Place, o: Start): Promise<number> {
  const begun = performance.now()
  const asked = firstRequest(place, o.instructions)
  const ended = runBareSdk(place.model, { ...o, repoUrl: o.url })
  const atMs = await Promise.race([asked, ended.then(() => asked)])
  await ended
  return atMs - begun
}

async function orderedStart(
  place: Place,
  o: Start,
): Promise<{ firstEventMs: number; firstRequestMs: number }> {
  const begun = performance.now()
  const asked = firstRequest(place, o.instructions)
  const task = await place.order({ repoUrl: o.url, instructions: o.instructions })
  const seen = await firstEvent(place, task.session_id)
  const at = await asked
  await place.completed(task, o.signal)
  return { firstEventMs: seen - begun, firstRequestMs: at - begun }
}

async function firstRequest({ model }: Place, text: string): Promise<number> {
  await model.waitFor(({ lastUserText }) => lastUserText.includes(text))
  return performance.now()
}

async function firstEvent(place: Place, sessionId: string): Promise<number> {
  const stop = new AbortController()
  try {
    for await (const { seq } of place.follow(sessionId, stop.signal))
      if (seq === 1) return performance.now()
    throw new Error('the stream ended without an event')
  } finally {
    stop.abort()
  }
}
