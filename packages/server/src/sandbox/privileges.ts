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

function mapProblem(map: string, o: { readonly kind: string; readonly base: number }) {
  const end = o.base + slotsMax
  const ranges = map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  let covered = 0
  let mapped = 0
  for (const [from = 0, , length = 0] of ranges) {
    covered += Math.max(0, Math.min(end, from + length) - Math.max(o.base, from))
    mapped += length
  }
  if (covered === slotsMax) return null
  return (
    `The server is root of a user namespace with ${mapped} ${o.kind}${mapped === 1 ? '' : 's'}, which lacks those ` +
    `of sessions, ${o.base} to ${end - 1}: start the server as a user who is not root, map this range ` +
    `(in /etc/subuid and /etc/subgid for rootless containers), or set SLOT_UID_BASE to a range of ` +
    `${slotsMax} that is mapped.`
  )
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
