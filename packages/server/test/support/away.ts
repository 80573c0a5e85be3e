import { type Clock, systemClock } from '../../src/clock.ts'
import { ask } from './postgres.ts'

/** Puts everybody out of a database and lets nobody in, or lets them in again; others go on. */
export async function allowConnections(databaseUrl: string, allowed: boolean): Promise<void> {
  const url = new URL(databaseUrl)
  const name = url.pathname.slice(1)
  url.pathname = 'postgres'
  await ask(url.href, `alter database ${name} with allow_connections ${allowed}`)
  const all = 'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1'
  if (!allowed) await ask(url.href, all, [name])
}

/** Time as it is, which tells whenever somebody waits for it. */
export function toldOfSleep(tell: () => void): Clock {
  return {
    ...systemClock,
    sleep: (ms, signal) => {
      tell()
      return systemClock.sleep(ms, signal)
    },
  }
}
