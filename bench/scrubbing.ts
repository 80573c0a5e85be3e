import { setImmediate } from 'node:timers/promises'
import { Scrubber } from '../packages/server/src/scrub/scrubber.ts'
import { type Bench, median } from './entry.ts'

/** As many as a server with a few tools and secrets knows. */
const secrets = Array.from(
  { length: 20 },
  (_, n) => `sk-${n}-"of/some+length>${(n * 7919).toString(36)}-abcdef0123456789`,
)
const events = 20_000
const hostileBytes = 10 * 1024 * 1024

/** What taking secrets out costs, and how long it keeps everybody else from their turns. */
export const scrubbing: Bench = {
  entries: [
    {
      name: 'scrub-event',
      what: 'an event of 1 kB without a secret in it, looked through for 20 of them',
      unit: 'µs',
      aim: { atMost: 100 },
    },
    {
      name: 'scrub-hostile-turn',
      what: 'processor time, at most, between two turns of all else, while 10 MB are looked through that may spell anything',
      unit: 'ms',
      aim: { atMost: 100 },
    },
  ],
  async measure() {
    const scrubber = new Scrubber(secrets)
    return {
      'scrub-event': perEvent(scrubber),
      'scrub-hostile-turn': await longestTurn(scrubber),
    }
  },
}

function perEvent(scrubber: Scrubber): number {
  const command = 'grep -rn "secret" src/ | sed -e \'s/\\s+/ /g\' > out.txt'
  const head = { type: 'agent.tool_use', name: 'Bash', input: { command } }
  const input = 'The sum is wrong: expected 5, got -1 (sum.ts:12).\n'.repeat(20)
  const event = { ...head, output: input.slice(0, 1024 - JSON.stringify(head).length) }
  const times = Array.from({ length: events }, () => {
    const begun = performance.now()
    scrubber.value(event)
    return (performance.now() - begun) * 1000
  })
  return median(times)
}

async function longestTurn(scrubber: Scrubber): Promise<number> {
  let isDone = false
  let longest = 0
  // Not by the clock: a turn takes milliseconds, and a busy host takes away more than that.
  const others = (async () => {
    for (let last = process.threadCpuUsage(); !isDone; last = process.threadCpuUsage()) {
      await setImmediate()
      const { user, system } = process.threadCpuUsage(last)
      longest = Math.max(longest, (user + system) / 1000)
    }
  })()
  // The worst that was found: the start of a secret, and backslashes in percent form.
  await scrubber.valueInTurns('sk-1%5c%5c%5c%5c%5c%5c%5c'.repeat(hostileBytes / 25))
  isDone = true
  await others
  return longest
}
