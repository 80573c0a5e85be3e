/** The doctor on hosts that lack something, each simulated around the command for itself alone. */
import assert from 'node:assert/strict'
import { chown, mkdir, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type SandboxReport, sandboxReport } from '@longhaul/client/contract'
import { traversalProblem } from '../src/sandbox/directories.ts'
import { type Host, longhaulOn, serverOn } from './support/host.ts'
import { longhaul } from './support/longhaul.ts'
import { makeDirectory } from './support/postgres.ts'
import { makeWorld } from './support/world.ts'

const skip =
  process.getuid?.() !== 0 && 'another host is simulated by mounts, for which root is needed'

/** What the doctor says of a host, and that it leaves nothing there. */
async function examined(host: Host): Promise<SandboxReport & { readonly code: number }> {
  await using directory = await makeDirectory()
  if (host.uid !== undefined) await chown(directory.path, host.uid, host.uid)
  const end = await longhaulOn(host, ['doctor', '--json'], { DATA_DIR: directory.path })
  assert.deepEqual(await readdir(directory.path), [])
  assert.ok(end.out.startsWith('{'), end.err + end.out)
  return { ...sandboxReport.parse(JSON.parse(end.out)), code: end.code }
}

function assertNothingHolds(report: SandboxReport & { readonly code: number }): void {
  assert.deepEqual([report.ok, report.code], [false, 1])
  assert.ok(!Object.values(report.isolates).includes(true))
  assert.equal(report.limits.disk, 'unknown')
}

test('a host that can hold everything is told so, in words and as JSON', { skip }, async () => {
  const report = await examined({})
  assert.deepEqual([report.ok, report.code, report.problem], [true, 0, null])
  assert.ok(!Object.values(report.isolates).includes(false), JSON.stringify(report.isolates))
  const tools = Object.fromEntries(report.tools.map(({ name, version }) => [name, version]))
  for (const name of ['bwrap', 'git', 'socat', 'claude'])
    assert.match(tools[name] ?? '', /^\d+\.\d/)
  await using directory = await makeDirectory()
  const env = { DATA_DIR: join(directory.path, 'not', 'there', 'yet') }
  const end = await longhaulOn({}, ['doctor'], env)
  assert.equal(end.code, 0, end.err)
  assert.match(end.out, /A sandbox is possible here: one was built just now, and tried from inside/)
  assert.match(end.out, /yes {2}system calls are filtered\n/)
  assert.match(end.out, /Not run on this host\n(.*\n)* .*arm64/)
  assert.deepEqual(await readdir(directory.path), [])
})

/** No word of the fixes for a host that refuses namespaces. */
const onlyOfFiles = /^(?!.*(?:max_user_namespaces|seccomp=|refuses user namespaces))/

const refused: readonly {
  readonly title: string
  readonly host: Host
  readonly words: readonly RegExp[]
}[] = [
  {
    title: 'user namespaces are refused by a filter of system calls',
    host: { refusesNamespaces: true },
    words: [
      /No permissions to create new namespace/,
      /by a filter of system calls.*seccomp=unconfined.*RestrictNamespaces=no/,
    ],
  },
  {
    title: 'the limit of user namespaces is 0',
    host: { isNested: true, prepare: 'sh -c "echo 0 >/proc/sys/user/max_user_namespaces"' },
    words: [/ENOSPC/, /Raise the limit: sysctl -w user\.max_user_namespaces=15000/],
  },
  {
    title: 'Debian’s setting refuses user namespaces to users',
    host: { refusesNamespaces: true, prepare: setting('unprivileged_userns_clone', 0) },
    words: [/sysctl -w kernel\.unprivileged_userns_clone=1/],
  },
  {
    title: 'Ubuntu’s AppArmor refuses user namespaces to programs without a profile',
    host: {
      prepare: `${setting('apparmor_restrict_unprivileged_userns', 1)}\n${bwrap('echo "bwrap: setting up uid map: Permission denied" >&2; exit 1')}`,
    },
    words: [
      /setting up uid map: Permission denied/,
      /give bwrap one, as docs\/doctor\.md shows, or sysctl -w kernel\.apparmor_restrict_unprivileged_userns=0/,
    ],
  },
  {
    title: 'a container masks parts of /proc',
    host: {
      prepare: bwrap(
        'echo "bwrap: Can\'t mount proc on /newroot/proc: Operation not permitted" >&2; exit 1',
      ),
    },
    words: [/--security-opt systempaths=unconfined/],
  },
  {
    title: 'bwrap is missing',
    host: { prepare: 'without bwrap' },
    words: [/are missing: bwrap\. .*apt-get install bubblewrap\.$/],
  },
  {
    title: 'socat and git are missing',
    host: { prepare: 'without socat git' },
    words: [/are missing: socat, git\. .*apt-get install socat git\.$/],
  },
  {
    title: 'the data directory is full',
    host: { prepare: 'mount -t tmpfs -o size=24k,mode=711 none "$DATA_DIR"' },
    words: [
      /ENOSPC/,
      /The file system of DATA_DIR, \/\S+, is full \(df -h \/\S+ .*: remove files/,
      onlyOfFiles,
    ],
  },
  {
    title: 'the data directory has no inodes left',
    host: { prepare: 'mount -t tmpfs -o nr_inodes=12,mode=711 none "$DATA_DIR"' },
    words: [/ENOSPC/, /has no inode left \(df -i \/\S+ .*: remove files/, onlyOfFiles],
  },
  ...['CHOWN', 'SETUID', 'SETGID', 'KILL'].map((name) => ({
    title: `root lacks CAP_${name}`,
    host: { withoutCapabilities: `-${name.toLowerCase()}` },
    words: [
      new RegExp(`^The server is root without CAP_${name}, .*--cap-add ${name};`),
      onlyOfFiles,
    ],
  })),
  {
    title: 'root has no capability at all',
    host: { withoutCapabilities: '-all' },
    words: [
      /without CAP_CHOWN, CAP_KILL, CAP_SETGID, CAP_SETUID, .*--cap-add CHOWN --cap-add KILL/,
      onlyOfFiles,
    ],
  },
  {
    title: 'root is the only uid of its user namespace',
    host: { isSingleUid: true },
    words: [
      /^The server is root of a user namespace with 1 uid, .*as a user who is not root, map/,
      onlyOfFiles,
    ],
  },
  {
    title: 'bwrap is too old',
    host: {
      prepare: bwrap(
        'case $1 in --version) echo bubblewrap 0.4.1;; --help) echo usage;; *) echo "bwrap: Unknown option --perms" >&2; exit 1;; esac',
      ),
    },
    words: [/Unknown option --perms/, /too old: install 0\.7 or newer/],
  },
]

for (const { title, host, words } of refused)
  test(`the doctor is red, with the words and the fix, where ${title}`, { skip }, async () => {
    const report = await examined(host)
    assertNothingHolds(report)
    for (const word of words) assert.match(report.problem ?? '', word)
  })

const weaker: readonly {
  readonly title: string
  readonly host: Host
  readonly limits?: Partial<SandboxReport['limits']>
  readonly gaps: readonly RegExp[]
}[] = [
  {
    title: 'control groups are read-only',
    host: {
      prepare:
        "for at in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts); do mount -o remount,bind,ro $at; done",
    },
    limits: { memory: 'rlimit', cpu: 'none', processes: 'rlimit' },
    gaps: [
      /^Memory is not held .*mounted read-only, as Docker does\. A watchdog .*Delegate=yes/,
      /^Processes are not counted .*read-only.* uid, which is exact/,
      /^Processor time is not held .*read-only.* every processor of this host/,
    ],
  },
  {
    title: 'there are no loop devices',
    host: { prepare: 'for loop in /dev/loop*; do mount --bind /dev/null $loop; done' },
    limits: { disk: 'counted' },
    gaps: [
      /^A file system for each session cannot be made here: mount failed.* --device \/dev\/loop-control/,
    ],
  },
  {
    title: 'rg and gh are missing',
    host: { prepare: 'without rg gh' },
    gaps: [/no ripgrep .*apt-get install ripgrep/, /no GitHub command line .*apt-get install gh/],
  },
  {
    title: 'bwrap cannot forbid user namespaces inside',
    host: {
      prepare: bwrap(
        'case $1 in --version) echo bubblewrap 0.7.0;; --help) $real --help | grep -v disable-userns;; *) exec $real "$@";; esac',
      ),
    },
    gaps: [/^This bubblewrap, 0\.7\.0, is older than 0\.8\. .*filter of system calls alone/],
  },
]

for (const { title, host, limits, gaps } of weaker)
  test(`the doctor names the gap, what follows and the fix, where ${title}`, { skip }, async () => {
    const report = await examined(host)
    assert.deepEqual([report.problem, report.code], [null, 0])
    assert.ok(!Object.values(report.isolates).includes(false), JSON.stringify(report.isolates))
    assert.deepEqual(report.limits, { ...report.limits, ...limits })
    assert.equal(report.gaps.length, gaps.length, JSON.stringify(report.gaps))
    for (const [at, { what, consequence, fix }] of report.gaps.entries())
      assert.match(`${what} ${consequence} ${fix}`, gaps[at] ?? /^$/)
  })

test('the doctor of a user who is not root says what sessions share, and exits with 0', async (context) => {
  if (skip) return context.skip(skip)
  if ((await traversalProblem(import.meta.dirname)) !== null)
    return context.skip('the checkout cannot be passed by another uid')
  const report = await examined({ uid: 20_955 })
  assert.deepEqual([report.problem, report.code], [null, 0])
  const missing = Object.entries(report.isolates).filter(([, holds]) => !holds)
  assert.deepEqual(missing, [['uid_separate', false]])
  assert.match(report.gaps[0]?.what ?? '', /not root/)
  assert.equal(report.limits.disk, 'counted')
})

test('a data directory that agents cannot pass, or that cannot be made, is named', {
  skip,
}, async () => {
  await using directory = await makeDirectory()
  const closed = join(directory.path, 'closed')
  await mkdir(closed, { mode: 0o700 })
  const end = await longhaulOn({}, ['doctor'], { DATA_DIR: join(closed, 'data') })
  assert.equal(end.code, 1)
  assert.match(end.out, /NO SANDBOX IS POSSIBLE HERE.*\n.*chmod o\+x \S*closed`/)
  assert.match(end.out, /SANDBOX=none is the only way round it/)
  assert.deepEqual(await readdir(closed), [])
  const nowhere = await longhaulOn({}, ['doctor'], { DATA_DIR: '/proc/none' })
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.err, /^DATA_DIR \/proc\/none cannot be used: .*\n$/)
})

test('what a doctor that was killed left long ago goes with the next one, and a living one’s stays', async () => {
  await using directory = await makeDirectory()
  const [old, fresh, kept] = ['doctor-1', 'doctor-2', 'doctor-notes'].map((name) =>
    join(directory.path, name),
  ) as [string, string, string]
  for (const path of [old, fresh, kept]) await mkdir(path, { mode: 0o711 })
  await mkdir(join(old, 'sessions'))
  for (const path of [old, kept]) await utimes(path, 0, 0)
  const end = await longhaul(['doctor'], { DATA_DIR: directory.path })
  assert.equal(end.code, 0, end.out + end.err)
  assert.deepEqual((await readdir(directory.path)).sort(), ['doctor-2', 'doctor-notes'])
})

test('a server on a host without a sandbox refuses to start, in the words of the doctor', {
  skip,
}, async () => {
  await using directory = await makeDirectory()
  const host = { prepare: 'without bwrap' }
  const { problem } = await examined(host)
  const end = await longhaulOn(host, ['serve'], { DATA_DIR: directory.path })
  assert.equal(end.code, 1)
  assert.ok(problem !== null && end.err.includes(problem), end.err)
  assert.match(end.err, /`longhaul doctor` says all .*SANDBOX=none starts without walls/)
})

test('SANDBOX=none is the only way round it, and /health says what that means', {
  skip,
}, async () => {
  await using directory = await makeDirectory()
  const env = { DATA_DIR: directory.path, SANDBOX: 'none' }
  await using server = await serverOn({ prepare: 'without bwrap' }, env)
  const health = JSON.parse(await (await fetch(`${server.url}/health`)).text())
  assert.equal(health.status, 'degraded')
  const report = sandboxReport.parse(health.sandbox)
  assert.deepEqual([report.ok, report.driver], [true, 'none'])
  assert.ok(!Object.values(report.isolates).includes(true))
  assert.match(report.gaps[0]?.what ?? '', /WITHOUT any walls/)
})

test('beside a running server the doctor says what its /health says, and changes nothing there', async () => {
  await using world = await makeWorld([])
  await using server = await world.start()
  const before = await readdir(world.dataDir)
  const env = { DATA_DIR: world.dataDir, SANDBOX: 'none' }
  const end = await longhaul(['doctor', '--json'], env)
  assert.equal(end.code, 0, end.err)
  assert.match(end.err, /^SANDBOX=none is set: .*starts without/)
  assert.deepEqual(await readdir(world.dataDir), before)
  const health = JSON.parse(await (await server.request('/health')).text())
  assert.deepEqual(JSON.parse(end.out), health.sandbox)
})

/** Puts a script in bwrap's place. */
function bwrap(script: string): string {
  return [
    'cp /usr/bin/bwrap "$scratch/real"',
    'printf "#!/bin/sh\\nreal=%s\\n" "$scratch/real" >"$scratch/bwrap"',
    `cat >>"$scratch/bwrap" <<'END'\n${script}\nEND`,
    'chmod 755 "$scratch/bwrap"',
    'mount --bind "$scratch/bwrap" /usr/bin/bwrap',
  ].join('\n')
}

/** Puts a setting that this kernel lacks into /proc/sys/kernel. */
function setting(name: string, value: number): string {
  return [
    'cp /proc/sys/kernel/overflowuid /proc/sys/kernel/overflowgid "$scratch"',
    'mount -t tmpfs none /proc/sys/kernel',
    'mv "$scratch"/overflow?id /proc/sys/kernel',
    `echo ${value} >/proc/sys/kernel/${name}`,
  ].join('\n')
}
