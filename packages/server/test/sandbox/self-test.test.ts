/** Each wall is taken away by a bwrap or setpriv that leaves it out, and the self-test names it. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Isolation } from '@longhaul/client/contract'
import { wallWords } from '../../src/sandbox/self-test.ts'
import { never, openBench } from './support.ts'

const systemPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'
const directories: string[] = []
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
})

async function pathWith(program: string, script: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'lh-bin-'))
  directories.push(directory)
  await chmod(directory, 0o711)
  await writeFile(join(directory, program), script)
  await chmod(join(directory, program), 0o755)
  return `${directory}:${systemPath}`
}

/** bwrap, with `edit` (bash) done to the array `a` of the options that come through descriptor 3. */
const edited = (edit: string): string => `#!/bin/bash
if [ "$1" != --args ]; then exec /usr/bin/bwrap "$@"; fi
mapfile -d '' -t a <&3
leave_out() {
  local -a kept=() gone=("$@")
  local i=0 n=$#
  while [ $i -lt \${#a[@]} ]; do
    if [ "\${a[*]:i:n}" = "\${gone[*]}" ]; then i=$((i + n)); else kept+=("\${a[i]}"); i=$((i + 1)); fi
  done
  a=("\${kept[@]}")
}
prepend() { a=("$@" "\${a[@]}"); }
${edit}
exec 3< <(printf '%s\\0' "\${a[@]}")
exec /usr/bin/bwrap "$@"
`

const broken: readonly (readonly [
  wall: keyof Isolation,
  title: string,
  edit: string,
  also?: readonly (keyof Isolation)[],
])[] = [
  ['network_absent', 'the host’s network', 'leave_out --unshare-net'],
  ['namespaces_separate', 'the host’s IPC', 'leave_out --unshare-ipc'],
  [
    'namespaces_separate',
    'the host’s name',
    'leave_out --hostname sandbox; leave_out --unshare-uts',
  ],
  ['root_sealed', 'a root that is written', 'leave_out --remount-ro /'],
  ['settings_read_only', 'the kernel’s settings', 'leave_out --ro-bind /proc/sys /proc/sys'],
  [
    'files_hidden',
    'the host’s /sys',
    'leave_out --remount-ro /; a+=(--ro-bind /sys /sys --remount-ro /)',
  ],
  ['privileges_refused', 'every capability', 'a+=(--cap-add ALL)'],
  [
    'processes_hidden',
    'the host’s processes',
    'leave_out --proc /proc; leave_out --unshare-pid; prepend --ro-bind /proc /proc',
  ],
  ['system_calls_filtered', 'no filter', 'leave_out --seccomp 5'],
  [
    'user_namespaces_refused',
    'namespaces to make',
    'leave_out --seccomp 5; leave_out --disable-userns',
    ['system_calls_filtered'],
  ],
]

for (const [wall, title, edit, also = []] of broken)
  test(`a sandbox with ${title} is found out: ${wall}`, async () => {
    await using bench = await openBench({ path: await pathWith('bwrap', edited(edit)) })
    assertBroken(await bench.driver.probe(never), [wall, ...also])
  })

test('a sandbox with the uid of a root server is found out: uid_separate', {
  skip: process.getuid?.() !== 0 && 'the server is not root',
}, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'lh-'))
  // Root without privileges gets into no directory of another's, but into one that is open to all.
  const script = `#!/bin/bash
chmod -R a+rwx ${dataDir}/sessions/probe
while [ "$1" != bwrap ]; do shift; done
exec "$@"
`
  await using bench = await openBench({ dataDir, path: await pathWith('setpriv', script) })
  // It also takes away what could be gained.
  assertBroken(await bench.driver.probe(never), ['uid_separate', 'privileges_refused'])
})

type Report = Awaited<ReturnType<Awaited<ReturnType<typeof openBench>>['driver']['probe']>>

function assertBroken(report: Report, walls: readonly (keyof Isolation)[]): void {
  assert.equal(report.ok, false)
  const gone = Object.entries(report.isolates).flatMap(([wall, holds]) => (holds ? [] : [wall]))
  assert.deepEqual(gone.sort(), [...walls].sort(), report.problem ?? '')
  for (const wall of walls)
    assert.ok(report.problem?.includes(wallWords[wall]), report.problem ?? '')
}
