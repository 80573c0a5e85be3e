import { readlink } from 'node:fs/promises'
import type { Isolation, SandboxTool } from '@longhaul/client/contract'
import { systemFile } from './directories.ts'
import type { Sandbox } from './driver.ts'
import { systemPath } from './environment.ts'
import { bridgeFailed } from './init-script.ts'
import { answerBytesMax, probeMs } from './limits.ts'

/** What a sandbox's own attempts at its walls came to. */
export interface SelfTest {
  readonly isolates: Isolation
  readonly tools: readonly SandboxTool[]
}

/** What runs inside is asked of its walls in this order; the words stand after "It does not hold that". */
export const wallWords: Readonly<Record<keyof Isolation, string>> = {
  files_hidden: 'files of the host are not there',
  root_sealed: 'nothing is written outside the session’s own directories',
  processes_hidden: 'processes of the host are not seen',
  network_absent: 'there is no network but the way to the gateway',
  namespaces_separate: 'its namespaces are its own',
  settings_read_only: 'system settings are not written',
  privileges_refused: 'there is no capability, and none can be gained',
  user_namespaces_refused: 'no user namespace is made inside',
  system_calls_filtered: 'system calls are filtered',
  uid_separate: 'it has another uid than the server',
}

/** A wall that does not hold is never assumed to: all of them are false until they were tried. */
export const nothingHolds = isolationOf(new Set())

/**
 * Tries every wall from inside an open sandbox, and asks the programs there for their versions.
 * Rejects with a sentence when the test itself did not come to its end.
 */
export async function runSelfTest(sandbox: Sandbox, signal: AbortSignal): Promise<SelfTest> {
  const planted = systemFile(sandbox.paths, 'passwd')
  const namespaces = await Promise.all(
    namespaceKinds.map((kind) => readlink(`/proc/self/ns/${kind}`).catch(() => 'none')),
  )
  const argv = [planted, sandbox.claudePath, ...namespaces]
  const result = await sandbox.exec(['/bin/sh', '-c', script, 'sh', ...argv], {
    // A server's PATH may hold more; this is the one that agents have.
    env: { PATH: systemPath, LC_ALL: 'C' },
    network: true,
    timeoutMs: probeMs,
    outputBytesMax: answerBytesMax,
    signal,
  })
  if (result.timedOut) throw new Error(`its self-test took longer than ${probeMs} ms`)
  if (result.exitCode === bridgeFailed) throw new Error(result.stderr.trim())
  const lines = result.stdout.split('\n')
  if (result.exitCode !== 0 || lines.at(-2) !== 'end')
    throw new Error(
      `its self-test did not come to its end: ${result.stderr.trim() || `exit code ${result.exitCode}`}`,
    )
  return { isolates: isolationOf(new Set(after('held ', lines))), tools: toolsOf(lines) }
}

function isolationOf(held: ReadonlySet<string>): Isolation {
  return {
    files_hidden: held.has('files_hidden'),
    root_sealed: held.has('root_sealed'),
    processes_hidden: held.has('processes_hidden'),
    network_absent: held.has('network_absent'),
    namespaces_separate: held.has('namespaces_separate'),
    settings_read_only: held.has('settings_read_only'),
    privileges_refused: held.has('privileges_refused'),
    user_namespaces_refused: held.has('user_namespaces_refused'),
    system_calls_filtered: held.has('system_calls_filtered'),
    uid_separate: held.has('uid_separate'),
  }
}

function toolsOf(lines: readonly string[]): SandboxTool[] {
  return after('tool ', lines).map((line) => {
    const [name = '', ...said] = line.split(' ')
    return { name, version: versionIn(said.join(' ')) }
  })
}

/** The first number with a dot in what a program says of itself. */
export function versionIn(text: string): string | null {
  return /\d+\.\d[\w.+-]*/.exec(text)?.[0] ?? null
}

function after(prefix: string, lines: readonly string[]): string[] {
  return lines.flatMap((line) => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []))
}

/** In the order in which the script takes them: those of two walls first. */
const namespaceKinds = ['pid', 'net', 'user', 'mnt', 'ipc', 'uts', 'cgroup']

/**
 * `planted claude pid net user mnt ipc uts cgroup`, the last seven as the server sees its own. Says
 * `held <wall>` of what it saw to hold. System settings are opened for writing, never written.
 *
 * The filter is seen in two answers of its own: the kernel makes a socket for its events (netlink,
 * protocol 15) for anybody, and one to the hypervisor (AF_VSOCK, 40) where there is a driver. The uid
 * is seen in the owner of a file of the server's, which is nobody's inside unless both are the same.
 * Routes are counted, not interfaces: of tunnels a kernel shows ends that are down to every namespace.
 */
const script = `
set -f
held() { echo "held $1"; }
other() { now=$(readlink "/proc/self/ns/$1") && [ -n "$now" ] && [ "$now" != "$2" ]; }
says() { pattern=$1; shift; "$@" 2>&1 </dev/null | grep -q -- "$pattern"; }
tool() { name=$1; shift; echo "tool $name" $("$@" 2>/dev/null </dev/null | head -n 2); }
planted=$1 claude=$2
shift 2

[ -e /etc/passwd ] && [ ! -e "$planted" ] && [ ! -e /etc/shadow ] && [ ! -e /sys/kernel ] &&
  held files_hidden
! (: >/probe) 2>/dev/null && grep -q '^[^ ]* /usr [^ ]* ro,' /proc/self/mounts && (: >probe) &&
  held root_sealed
read -r pid _ </proc/self/stat && [ "$pid" = $$ ] && other pid "$1" && held processes_hidden
[ -r /proc/net/route ] && [ "$(tail -n +2 /proc/net/route | grep -c .)" = 0 ] &&
  other net "$2" && held network_absent
other user "$3" && other mnt "$4" && other ipc "$5" && other uts "$6" && other cgroup "$7" &&
  held namespaces_separate
grep -q '^proc /proc/sys proc ro,' /proc/self/mounts &&
  ! (: >>/proc/sys/kernel/core_pattern) 2>/dev/null && held settings_read_only
[ "$(grep -c '^Cap\\(Prm\\|Eff\\|Bnd\\):.0000000000000000$' /proc/self/status)" = 3 ] &&
  grep -q '^NoNewPrivs:.1$' /proc/self/status && held privileges_refused
command -v unshare >/dev/null && ! unshare -U true 2>/dev/null && held user_namespaces_refused
grep -q '^Seccomp:.2$' /proc/self/status &&
  says 'Protocol not supported' timeout 2 socat -u /dev/null SOCKET-DATAGRAM:16:3:15:x00000000000000000000 &&
  says 'Address family not supported' timeout 2 socat -u /dev/null SOCKET-CONNECT:40:1:x0000000000000000000000000000 &&
  held system_calls_filtered
[ "$(stat -c %u /etc/passwd)" != "$(id -u)" ] && held uid_separate
tool git git --version
tool socat socat -V
tool rg rg --version
tool gh gh --version
tool claude "$claude" --version
echo end
`
