import { readdir, readFile, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** What a postmaster writes about itself into its data directory. */
export interface PidFile {
  readonly pid: number
  /** The directory of its first unix socket; null until it listens. */
  readonly socketDir: string | null
}

/** The fifth line is the socket directory (PostgreSQL's pidfile.h). Null when there is no file. */
export async function readPidFile(pgdata: string): Promise<PidFile | null> {
  const text = await readFile(join(pgdata, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  return Number.isInteger(pid) && pid > 0 ? { pid, socketDir: lines[4] || null } : null
}

/**
 * Whether any process of PostgreSQL still works in `pgdata`: all of them have it as their working
 * directory. Where there is no /proc the answer is yes, the careful one.
 */
export async function livesIn(pgdata: string): Promise<boolean> {
  const names = await readdir('/proc').catch(() => null)
  if (names === null) return true
  const pids = names.filter((name) => /^\d+$/.test(name))
  // A process may end while we look, and those of others may not be looked at.
  const directories = await Promise.all(
    pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')),
  )
  return directories.includes(pgdata)
}

/**
 * Removes the pid file of a postmaster that no longer exists. PostgreSQL does so itself, unless the
 * number was given to another process of the same user meanwhile, as happens at every restart of a
 * container; then it would refuse to start for ever.
 */
export async function removeStalePidFile(pgdata: string): Promise<void> {
  const file = await readPidFile(pgdata)
  if (file === null || (await livesIn(pgdata))) return
  await rm(join(pgdata, 'postmaster.pid'), { force: true })
  await rm(join(file.socketDir ?? pgdata, '.s.PGSQL.5432.lock'), { force: true })
}
