import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { openStore } from '../../src/store/open.ts'
import { putSettingIfAbsent } from '../../src/store/settings.ts'

// Opens a store, says so, and lives until it is killed: `store-process.ts DATA_DIR [DATABASE_URL]`.
const [dataDir = '', databaseUrl = ''] = process.argv.slice(2)
const store = await openStore({
  dataDir,
  databaseUrl: databaseUrl === '' ? null : databaseUrl,
  log: createLog('silent'),
  clock: systemClock,
  signal: AbortSignal.timeout(60_000),
})
await putSettingIfAbsent(store.db, 'opened', 'once')
process.stdout.write('ready\n')
setInterval(() => {}, 60_000)
