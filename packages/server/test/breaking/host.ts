import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { processesIn } from '../support/leaks.ts'

const goneMsMax = 15_000

/** What nodes that have stopped left on this host: processes, mounts, sockets, workspaces, groups. */
export async function hostLeftovers(
  dataDirs: readonly string[],
  sessionIds: readonly string[],
): Promise<string[]> {
  const deadline = Date.now() + goneMsMax
  for (;;) {
    const found = [...dataDirs.flatMap(lookAt), ...groupsOf(sessionIds)]
    if (found.length === 0 || Date.now() > deadline) return found
    await sleep(500)
  }
}

function lookAt(dataDir: string): string[] {
  const processes = processesIn(`${dataDir}/`).map((pid) => `process ${pid}`)
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((at) => at.startsWith(`${dataDir}/`))
    .map((at) => `mount ${at}`)
  const sockets = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .filter((line) => line.includes(` ${dataDir}/`))
    .map((line) => `socket ${line}`)
  return [...processes, ...mounts, ...sockets, ...workspacesOf(dataDir)]
}

/** The directories of sessions that a node still has. */
export function workspacesOf(dataDir: string): string[] {
  const sessions = join(dataDir, 'sessions')
  const names = existsSync(sessions) ? readdirSync(sessions) : []
  return names.map((name) => `workspace ${name}`)
}

/** Control groups that are named after one of the sessions. */
export function groupsOf(sessionIds: readonly string[]): string[] {
  const find = ['/sys/fs/cgroup', '-type', 'd', '-name', 'longhaul-*']
  // Groups of others come and go meanwhile, which `find` reports as an error.
  const { stdout } = spawnSync('find', find, { stdio: ['ignore', 'pipe', 'ignore'] })
  return stdout
    .toString()
    .split('\n')
    .filter((path) => sessionIds.some((id) => path.includes(id)))
    .map((path) => `group ${path}`)
}
