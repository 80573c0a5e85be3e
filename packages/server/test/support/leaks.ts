import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { until } from './until.ts'

/**
 * Asserts that nothing lives on of what worked in a directory: no process, no socket. A slot's uid
 * would say less: tests that run at once have the same ones, each in a data directory of its own,
 * and whatever runs in a sandbox has its session's directory mounted.
 */
export async function assertNothingIn(directory: string, limitMs = goneMsMax): Promise<void> {
  const processes = () => processesIn(directory).map((pid) => `${pid} ${commandOf(pid)}`)
  await assertGone(`a process is left in ${directory}`, processes, limitMs)
  await assertGone(`a socket is left in ${directory}`, () => socketsIn(directory), limitMs)
}

/** What was told to end has this long: a busy machine is slow. */
const goneMsMax = 60_000

/**
 * Notes what this process has open now. What it gives asserts that it has no more than that then:
 * no listener and no child process of its own.
 */
export function watchHandles(limitMs = goneMsMax): () => Promise<void> {
  const kinds = ['TCPServerWrap', 'ProcessWrap']
  const before = kinds.map(openOf)
  const more = (): string[] => kinds.filter((kind, n) => openOf(kind) > (before[n] ?? 0))
  return () => assertGone('a listener or a child process is left', more, limitMs)
}

/** Pids of processes that have something of this directory mounted, as their place, or named. */
export function processesIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && touches(pid, directory))
}

/**
 * The real uid of a process; null: it is gone. Its directory in /proc says less: that is root's while the
 * process cannot be dumped, as every launch is for a moment.
 */
export function uidOf(pid: number): number | null {
  try {
    const [, uid] = /^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return uid === undefined ? null : Number(uid)
  } catch {
    return null
  }
}

async function assertGone(
  what: string,
  look: () => readonly string[],
  limitMs: number,
): Promise<void> {
  const isGone = (): boolean => look().length === 0
  await until(what, isGone, limitMs).catch(() => assert.fail(`${what}: ${look().join('; ')}`))
}

function openOf(kind: string): number {
  return process.getActiveResourcesInfo().filter((name) => name === kind).length
}

function socketsIn(directory: string): string[] {
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  return lines.filter((line) => line.includes(` ${directory}/`))
}

function touches(pid: number, directory: string): boolean {
  try {
    return (
      (isElsewhere(pid) && isShown(pid, directory)) ||
      readlinkSync(`/proc/${pid}/cwd`).startsWith(directory) ||
      // The server itself is told of it in its environment.
      readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`=${directory}`)
    )
  } catch {
    // It ended while we looked.
    return false
  }
}

/** Something of it is mounted, other than a session's disks, which namespaces beside ours are told of. */
function isShown(pid: number, directory: string): boolean {
  const points = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
  const shown = points.map((line) => line.split(' ')[4] ?? '')
  return shown.some((point) => point.startsWith(directory) && !/\/(tmp-)?disk$/.test(point))
}

/** The host's own mounts, the disks of open sessions among them, are everybody's who is not inside. */
function isElsewhere(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`) !== readlinkSync('/proc/self/ns/mnt')
  } catch {
    return true // Hidden from us: another user namespace.
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').slice(0, 200)
  } catch {
    return ''
  }
}
