import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gap, Isolation, SandboxReport, SandboxTool } from '@longhaul/client/contract'
import type { Bwrap } from './bwrap.ts'
import { makeTraversable, pathsOf, socketPathProblem, traversalProblem } from './directories.ts'
import type { DiskKind } from './disk/disk.ts'
import type { Sandbox, SandboxSpec } from './driver.ts'
import { systemPath } from './environment.ts'
import { hostGaps, notRun, toolGaps } from './gaps.ts'
import type { DetectedLimits } from './limits/detect.ts'
import type { LimitHolder } from './limits/held-limits.ts'
import { defaultLimits, slotsMax, socketPathBytesMax } from './limits.ts'
import { privilegeProblem } from './privileges.ts'
import { missingPrograms, refusalSentence } from './refusals.ts'
import { nothingHolds, runSelfTest, type SelfTest, wallWords } from './self-test.ts'
import { accountIn } from './uid-range.ts'

/** The length of every session's id, `sesn_` and 26 digits. */
const sessionIdBytes = 31

/** What a probe looks at, and what it tries it with. */
interface Probed {
  readonly dataDir: string
  /** Where its own directories are for the moment, in the data directory. */
  readonly trials: string
  readonly uidBase: number
  /** Search path for bwrap, setpriv and prlimit. */
  readonly path: string
  readonly open: (spec: SandboxSpec) => Promise<Sandbox>
  readonly bwrap: () => Promise<Bwrap>
  /** Whether this machine's system calls are known. */
  readonly filters: boolean
  readonly limits: LimitHolder
  readonly disk: () => Promise<{ readonly disk: DiskKind; readonly gaps: readonly Gap[] }>
  readonly requireLimits: boolean
  readonly signal: AbortSignal
}

/**
 * Finds out whether this host can hold the walls, by building them: checks of the programs and the
 * data directory first, since they have the clearer sentences, then a real sandbox that tries what
 * must fail. Rejects only when the signal aborts.
 */
export async function probeBubblewrap(o: Probed): Promise<SandboxReport> {
  const [limits, bwrap] = await Promise.all([o.limits.detect(), o.bwrap()])
  const tried = await trial(o).catch(async (error: unknown) => {
    if (o.signal.aborted) throw o.signal.reason
    return refused(await refusalSentence(error, o.dataDir))
  })
  const disk = tried.problem === null ? await o.disk() : null
  const problem = tried.problem ?? (o.requireLimits ? weakness(limits) : null)
  const { memory, cpu, processes } = limits
  const tools = [{ name: 'bwrap', version: bwrap.version }, ...tried.tools]
  return {
    ok: problem === null,
    problem,
    driver: 'bubblewrap',
    isolates: tried.isolates,
    limits: { memory, cpu, processes, disk: disk === null ? 'unknown' : diskWords[disk.disk] },
    tools,
    gaps: [
      ...hostGaps({ bwrap, filters: o.filters }),
      ...limits.gaps,
      ...(disk?.gaps ?? []),
      ...toolGaps(tools),
    ],
    not_run: notRun(limits),
  }
}

const diskWords = { loop: 'image', watch: 'counted' } as const

interface Tried {
  readonly problem: string | null
  readonly isolates: Isolation
  readonly tools: readonly SandboxTool[]
}

function refused(problem: string): Tried {
  return { problem, isolates: nothingHolds, tools: [] }
}

async function trial(o: Probed): Promise<Tried> {
  const problem = await problemBefore(o)
  if (problem !== null) return refused(problem)
  const { isolates, tools } = await selfTest(o)
  return { problem: brokenWalls(isolates, o) ?? brokenTools(tools), isolates, tools }
}

async function problemBefore(o: Probed): Promise<string | null> {
  if (process.platform !== 'linux')
    return `bubblewrap needs Linux, and this is ${process.platform}.`
  const session = join(o.dataDir, 'sessions', 'x'.repeat(sessionIdBytes))
  const longest = pathsOf(session).gatewaySocket
  if (Buffer.byteLength(longest) > socketPathBytesMax) return socketPathProblem(longest)
  const sessions = join(o.trials, 'sessions')
  await makeTraversable(sessions)
  if (process.getuid?.() === 0) {
    const problem =
      (await traversalProblem(sessions)) ??
      (await accountProblem(o.uidBase)) ??
      (await privilegeProblem(o))
    if (problem !== null) return problem
  }
  return missingPrograms({ path: o.path, inside: systemPath })
}

/** A person's account among the slots' uids would see, and own, what agents write. */
async function accountProblem(base: number): Promise<string | null> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '') // None: nobody to collide.
  const account = accountIn(passwd, base)
  if (account === null) return null
  return (
    `The account ${account} has a uid between ${base} and ${base + slotsMax - 1}, which sandboxes ` +
    `use: give it another one, or set SLOT_UID_BASE.`
  )
}

async function selfTest(o: Probed): Promise<SelfTest> {
  await using sandbox = await o.open({
    sessionId: 'probe',
    directory: join(o.trials, 'sessions', 'probe'),
    slot: 0,
    limits: defaultLimits,
    env: {},
    gitRewrite: [],
  })
  const result = await runSelfTest(sandbox, o.signal)
  await sandbox.destroy()
  return result
}

/** Nothing may run behind a wall that was seen not to hold, but where the gaps say that there is none. */
function brokenWalls(isolates: Isolation, o: Probed): string | null {
  const optional = new Set<string>([
    ...(o.filters ? [] : ['system_calls_filtered']),
    ...(process.getuid?.() === 0 ? [] : ['uid_separate']),
  ])
  const broken = Object.entries(isolates)
    .filter(([wall, holds]) => !holds && !optional.has(wall))
    .map(([wall]) => wallWords[wall as keyof Isolation])
  if (broken.length === 0) return null
  return (
    `A sandbox was built, and its self-test failed, so nothing may run in it. It does not hold that ` +
    `${broken.join('; that ')}. Look for a bwrap, setpriv or kernel that is not the distribution’s own.`
  )
}

function brokenTools(tools: readonly SandboxTool[]): string | null {
  const broken = ['git', 'claude'].filter(
    (name) => tools.find((tool) => tool.name === name)?.version == null,
  )
  if (broken.length === 0) return null
  return `A sandbox was built, and ${broken.join(' and ')} does not run in it: install it anew, for this machine’s architecture and libc.`
}

/** Why limits that are required do not hold here; null: they do. */
function weakness({ memory, processes, gaps }: DetectedLimits): string | null {
  if (memory !== 'rlimit' && processes !== 'rlimit') return null
  const [first] = gaps
  return `SANDBOX_REQUIRE_LIMITS is set, and limits do not hold: ${first?.what} ${first?.fix}`
}
