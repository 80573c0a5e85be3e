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
let isClaiming = false
const stopping = {
  ...clock,
  now() {
    if (isClaiming) process.kill(process.pid, 'SIGSTOP')
    isClaiming = false
    return clock.now()
  },
}
await using queue = await WorkQueue.open({ store, clock: stopping, log, node: store.node })
isClaiming = true
const claimed = await queue.claim({ free: 1, limit: 100 }).then(
  (leases) => `claimed ${leases.length}`,
  () => 'failed',
)
process.stdout.write(`${claimed}\n`)
