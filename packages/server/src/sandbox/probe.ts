import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  makeTraversable,
  pathsOf,
  socketPathProblem,
  systemFile,
  traversalProblem,
} from './directories.ts'
import type { Gap, ProbeReport, Sandbox, SandboxSpec } from './driver.ts'
import { bridgeFailed } from './init-script.ts'
import type { DetectedLimits } from './limits/detect.ts'
import type { LimitHolder } from './limits/held-limits.ts'
import {
  answerBytesMax,
  askMs,
  defaultLimits,
  probeMs,
  slotsMax,
  socketPathBytesMax,
} from './limits.ts'
import { accountIn } from './uid-range.ts'

/** The length of every session's id, `sesn_` and 26 digits. */
const sessionIdBytes = 31

/**
 * Finds out whether this host can hold the walls, by building them: checks of the data directory
 * first, since they have the clearer sentences, then a real sandbox that tries what must fail.
 * Rejects only when the signal aborts.
 */
export async function probeBubblewrap(o: {
  readonly dataDir: string
  readonly uidBase: number
  readonly open: (spec: SandboxSpec) => Promise<Sandbox>
  readonly disableUserns: () => Promise<boolean>
  readonly limits: LimitHolder
  readonly disk: () => Promise<{ readonly gaps: readonly Gap[] }>
  readonly requireLimits: boolean
  readonly signal: AbortSignal
}): Promise<ProbeReport> {
  const limits = await o.limits.detect()
  const problem =
    (await firstProblem(o).catch((error: unknown) => {
      if (o.signal.aborted) throw o.signal.reason
      return withFix(error instanceof Error ? error.message : String(error))
    })) ?? (o.requireLimits ? weakness(limits) : null)
  const warnings: string[] = []
  if (problem === null && !(await o.disableUserns()))
    warnings.push('This bubblewrap is older than 0.8: user namespaces inside cannot be forbidden.')
  if (process.getuid?.() !== 0)
    warnings.push('The server is not root: what runs inside shares its uid.')
  const gaps = problem === null ? [...limits.gaps, ...(await o.disk()).gaps] : limits.gaps
  warnings.push(...gaps.map(({ what, consequence, fix }) => `${what} ${consequence} ${fix}`))
  return { ok: problem === null, isolation: 'namespaces', problem, warnings }
}

/** Why limits that are required do not hold here; null: they do. */
function weakness({ memory, processes, gaps }: DetectedLimits): string | null {
  if (memory !== 'rlimit' && processes !== 'rlimit') return null
  const [first] = gaps
  return `SANDBOX_REQUIRE_LIMITS is set, and limits do not hold: ${first?.what} ${first?.fix}`
}

/** Whether the bwrap on this path has `--disable-userns` (0.8 and newer). */
export async function supportsDisableUserns(path: string): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('bwrap', ['--help'], {
      cwd: '/',
      env: { PATH: path },
      timeout: askMs,
      maxBuffer: answerBytesMax,
    })
    return stdout.includes('--disable-userns')
  } catch {
    return false // No bwrap that answers: the probe's self-test says what is wrong with it.
  }
}

async function firstProblem(o: {
  readonly dataDir: string
  readonly uidBase: number
  readonly open: (spec: SandboxSpec) => Promise<Sandbox>
  readonly signal: AbortSignal
}): Promise<string | null> {
  if (process.platform !== 'linux')
    return `bubblewrap needs Linux, and this is ${process.platform}. ${optOut}`
  const sessions = join(o.dataDir, 'sessions')
  const longest = pathsOf(join(sessions, 'x'.repeat(sessionIdBytes))).gatewaySocket
  if (Buffer.byteLength(longest) > socketPathBytesMax) return socketPathProblem(longest)
  await makeTraversable(sessions)
  if (process.getuid?.() === 0) {
    const problem = (await traversalProblem(sessions)) ?? (await accountProblem(o.uidBase))
    if (problem !== null) return problem
  }
  return selfTest({ ...o, directory: join(sessions, 'probe') })
}

/** A person's account among the slots' uids would see, and own, what agents write. */
async function accountProblem(base: number): Promise<string | null> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '') // None: nobody to collide.
  const account = accountIn(passwd, base)
  if (account === null) return null
  return (
    `The account ${account} has a uid between ${base} and ${base + slotsMax - 1}, which sandboxes ` +
    `use: give it another one.`
  )
}

async function selfTest(o: {
  readonly directory: string
  readonly open: (spec: SandboxSpec) => Promise<Sandbox>
  readonly signal: AbortSignal
}): Promise<string | null> {
  await using sandbox = await o.open({
    sessionId: 'probe',
    directory: o.directory,
    slot: 0,
    limits: defaultLimits,
    env: {},
    gitRewrite: [],
  })
  const hidden = systemFile(sandbox.paths, 'passwd')
  const result = await sandbox.exec(['/bin/sh', '-c', selfTestScript, 'sh', hidden], {
    network: true,
    timeoutMs: probeMs,
    outputBytesMax: answerBytesMax,
    signal: o.signal,
  })
  if (result.timedOut) return `The sandbox's self-test took longer than ${probeMs} ms.`
  if (result.exitCode === bridgeFailed) return withFix(result.stderr.trim())
  if (result.exitCode !== 0 || result.stdout !== 'walls hold\n')
    return (
      `The sandbox's self-test failed, so nothing may run in it: ` +
      `${(result.stdout + result.stderr).trim() || `exit code ${result.exitCode}`}. ${optOut}`
    )
  await sandbox.destroy()
  return null
}

/** Tries what must fail; opens system settings for writing, and never writes to them. */
const selfTestScript = `
[ -e "$1" ] && echo 'a file of the host is visible'
grep -q '^CapEff:.0000000000000000$' /proc/self/status || echo 'there are capabilities'
grep -q '^NoNewPrivs:.1$' /proc/self/status || echo 'privileges can be gained'
(: >>/proc/sys/kernel/core_pattern) 2>/dev/null && echo 'system settings can be written'
tail -n +3 /proc/net/dev | grep -qv '^ *lo:' && echo 'there is a network interface'
(: >/probe) 2>/dev/null && echo 'the root can be written'
: >probe || exit 1
echo 'walls hold'
`

const optOut = 'SANDBOX=none runs agents without walls, for development only.'

/** bwrap's own words, and what they mean on which host. */
const fixes: readonly (readonly [pattern: RegExp, fix: string])[] = [
  [
    /ENOENT|No such file or directory|is socat installed/,
    'Install what is missing; on Debian and Ubuntu: apt-get install bubblewrap socat util-linux.',
  ],
  [
    /ENOSPC|No space left|max_\*_namespaces/,
    'Raise the limit: sysctl user.max_user_namespaces=15000 (and the other user.max_*_namespaces).',
  ],
  [
    /mount proc|mounting proc|\/newroot\/proc/i,
    'In Docker, run the container with --security-opt systempaths=unconfined.',
  ],
  [
    /namespace|uid map|gid map|Operation not permitted|Permission denied/i,
    'Allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1; on Ubuntu 24.04 also sysctl kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile with `userns,` for bwrap; in Docker, --security-opt seccomp=unconfined --security-opt apparmor=unconfined.',
  ],
]

function withFix(message: string): string {
  const fix = fixes.find(([pattern]) => pattern.test(message))?.[1]
  return [`The sandbox cannot be built: ${message}.`, fix, optOut].filter(Boolean).join(' ')
}
