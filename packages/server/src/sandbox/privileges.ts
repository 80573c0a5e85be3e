import { readFile } from 'node:fs/promises'
import { slotsMax } from './limits.ts'

/** What root needs to give sessions uids of their own, by its bit (linux/capability.h). */
const needed = [
  ['CAP_CHOWN', 0],
  ['CAP_KILL', 5],
  ['CAP_SETGID', 6],
  ['CAP_SETUID', 7],
] as const

/** Why a root server cannot give the slots' uids to sessions, with the fix; null: it can. */
export async function privilegeProblem(o: { readonly uidBase: number }): Promise<string | null> {
  const maps = await Promise.all(['uid', 'gid'].map((kind) => ownFile(`${kind}_map`)))
  for (const [at, map] of maps.entries()) {
    const problem = mapProblem(map, { kind: at === 0 ? 'uid' : 'gid', base: o.uidBase })
    if (problem !== null) return problem
  }
  return capabilityProblem(await ownFile('status'))
}

/** How many of the `slotsMax` uids from `base` on the server's user namespace has. */
export async function mappedUids(base: number): Promise<number> {
  return covered(await ownFile('uid_map'), base)
}

function mapProblem(map: string, o: { readonly kind: string; readonly base: number }) {
  if (covered(map, o.base) === slotsMax) return null
  const end = o.base + slotsMax
  const mapped = rangesOf(map).reduce((sum, { length }) => sum + length, 0)
  return (
    `The server is root of a user namespace with ${mapped} ${o.kind}${mapped === 1 ? '' : 's'}, which lacks those ` +
    `of sessions, ${o.base} to ${end - 1}: start the server as a user who is not root, map this range ` +
    `(in /etc/subuid and /etc/subgid for rootless containers), or set SLOT_UID_BASE to a range of ` +
    `${slotsMax} that is mapped.`
  )
}

function covered(map: string, base: number): number {
  return rangesOf(map).reduce((sum, { from, length }) => {
    const end = Math.min(base + slotsMax, from + length)
    return sum + Math.max(0, end - Math.max(base, from))
  }, 0)
}

/** Lines of a map of ids: the first inside, the first outside, how many. */
function rangesOf(map: string): { from: number; length: number }[] {
  return map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([from = 0, , length = 0]) => ({ from, length }))
}

function capabilityProblem(status: string): string | null {
  const effective = BigInt(`0x${/^CapEff:\s*([\da-f]+)$/m.exec(status)?.[1] ?? 'ffffffff'}`)
  const missing = needed.filter(([, bit]) => ((effective >> BigInt(bit)) & 1n) === 0n)
  if (missing.length === 0) return null
  const names = missing.map(([name]) => name)
  const options = names.map((name) => `--cap-add ${name.replace('CAP_', '')}`)
  return (
    `The server is root without ${names.join(', ')}, and cannot give sessions uids of their own: ` +
    `in Docker, run the container with ${options.join(' ')}; in a unit of systemd, add them to ` +
    `CapabilityBoundingSet=; or start the server as a user who is not root.`
  )
}

function ownFile(name: string): Promise<string> {
  return readFile(`/proc/self/${name}`, 'utf8')
}
