import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { WorkQueue } from '../../src/queue/work-queue.ts'
import { openStore } from '../../src/store/open.ts'

// Stops itself amid a claim, in its transaction: `claim-process.ts DATA_DIR DATABASE_URL`. What comes
// of the claim once it goes on is printed.
const [dataDir = '', databaseUrl = ''] = process.argv.slice(2)
const log = createLog('silent')
const clock = systemClock
await using store = await openStore({
  ...{ dataDir, databaseUrl, log, clock },
  signal: AbortSignal.timeout(60_000),
})
/** It asks for the time once before it takes the lock of claims, and again with it. */
const looksBefore = 1
let looks = Number.NEGATIVE_INFINITY
const stopping = {
  ...clock,
  now() {
    looks += 1
    if (looks === looksBefore + 1) process.kill(process.pid, 'SIGSTOP')
    return clock.now()
  },
}
await using queue = await WorkQueue.open({ store, clock: stopping, log, node: store.node })
looks = 0
const claimed = await queue.claim({ free: 1, limit: 100 }).then(
  (leases) => `claimed ${leases.length}`,
  () => 'failed',
)
process.stdout.write(`${claimed}\n`)
