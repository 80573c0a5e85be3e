import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { openStore, type Store } from '../../src/store/open.ts'

const script = fileURLToPath(new URL('./store-process.ts', import.meta.url))

/** A store in a directory, as the server opens it. */
export function openIn(dataDir: string, databaseUrl: string | null = null): Promise<Store> {
  const signal = AbortSignal.timeout(60_000)
  return openStore({ dataDir, databaseUrl, log: createLog('silent'), clock: systemClock, signal })
}

/** The same in a process of its own, to be killed. `prefix`: a command that starts it. */
export async function openInProcess(
  dataDir: string,
  o: { readonly databaseUrl?: string; readonly prefix?: readonly string[] } = {},
): Promise<ChildProcess> {
  const node = [process.execPath, '--conditions=longhaul', script, dataDir, o.databaseUrl ?? '']
  const [file = '', ...args] = [...(o.prefix ?? []), ...node]
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  const [said] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  if (String(said).trim() !== 'ready') throw new Error(`the process said ${said}`)
  return child
}

/** Kills the process with its whole group, as Ctrl-C in a terminal would reach it. */
export async function killProcess(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  process.kill(-(child.pid ?? Number.NaN), 'SIGKILL')
  await exited
}

export async function postmasterPid(dataDir: string): Promise<number> {
  const file = await readFile(join(dataDir, 'postgres18', 'postmaster.pid'), 'utf8')
  return Number(file.split('\n')[0])
}
