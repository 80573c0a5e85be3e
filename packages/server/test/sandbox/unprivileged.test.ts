/**
 * The walls below a server that is not root: it has one uid for all its sessions and may make no
 * control groups, so what holds a session are namespaces, resource limits and the watchdog. Every
 * attack that needs no root is tried against such a server, too.
 */
import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { sandboxReport } from '@longhaul/client/contract'
import { traversalProblem } from '../../src/sandbox/directories.ts'
import { narrowUids } from '../../src/sandbox/limits.ts'
import { openBench, pidsOfUid, until } from './support.ts'

/** Below all that servers take for their slots: one of this host may be at work meanwhile. */
const uid = narrowUids.base - 1

const skip = await (async (): Promise<false | string> => {
  if (process.getuid?.() !== 0) return 'these tests are what this server runs anyhow'
  const problem = await traversalProblem(import.meta.dirname)
  return problem === null ? false : `another uid cannot read the checkout: ${problem}`
})()

/** The attacks, and those of their tests that only a root server can have. */
const tables: readonly { readonly file: string; readonly rootOnly: readonly string[] }[] = [
  {
    file: 'walls/host.test.ts',
    rootOnly: [
      'what only its owner may read stays so where it is shown',
      'a program with root’s setuid bit runs as who started it, and su makes nobody root',
      'no node of a device is made, of no disk and of no memory',
      'system settings do not open for writing',
    ],
  },
  { file: 'walls/proc.test.ts', rootOnly: [] },
  { file: 'walls/kernel.test.ts', rootOnly: [] },
  {
    file: 'walls/host-git.test.ts',
    rootOnly: ['git inside trusts no repository of another owner'],
  },
  { file: 'walls/gateway.test.ts', rootOnly: [] },
  { file: 'walls/github.test.ts', rootOnly: [] },
  { file: 'walls/secret.test.ts', rootOnly: [] },
  { file: 'walls/leavings.test.ts', rootOnly: [] },
  {
    file: 'walls/limits.test.ts',
    rootOnly: [
      'a process that takes 200 MB in a session of 160 MB is killed',
      'what is started apart, detached and in the background does not leave its session’s limits',
      'a fork bomb of 64 ends at its session’s 32',
      'a busy loop on every processor gets its session’s fiftieth of one',
      'without control groups, too, a fork bomb of 64 ends at its session’s 32',
    ],
  },
  {
    file: 'walls/counted.test.ts',
    rootOnly: ['what runs is ended before the host’s own disk is full'],
  },
  {
    file: 'walls/floods.test.ts',
    rootOnly: [
      'a session that fills its own file system gets no more than its size',
      'what fills /tmp gets no more than its bound, though there is room for other files',
      'what left its session and its terminal ends with the command that started it',
      'the death of the server leaves nothing of a slot',
    ],
  },
  {
    file: 'sandbox/walls.test.ts',
    rootOnly: [
      'below a root server it runs as the uid of its slot',
      'a directory that belongs to another slot is refused',
    ],
  },
  {
    file: 'sandbox/processes.test.ts',
    rootOnly: [
      'SIGKILL of the server leaves no process of the slot',
      'a server that is not root keeps its uid and leaves nothing either',
      'open ends leftovers of its slot, and not those of another server',
    ],
  },
  {
    file: 'sandbox/rlimits.test.ts',
    rootOnly: [
      'without control groups a fork bomb is refused by uid, and the limit is named',
      'below a server that is not root the watchdog ends a fork bomb, and nothing of the server',
    ],
  },
]

for (const { file, rootOnly } of tables)
  test(`below a server that is not root ${file} holds as well, and leaves nothing`, {
    skip,
  }, async () => {
    const child = startNode([
      '--test',
      '--test-reporter=tap',
      join(import.meta.dirname, '..', file),
    ])
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
    const ends = [...said.matchAll(/^(ok|not ok) \d+ - (.*?)(?: # (SKIP)\b.*)?$/gm)]
    assert.equal(code, 0, said)
    assert.deepEqual(
      ends.flatMap(([, , title, skipped]) => (skipped === undefined ? [] : [title])),
      rootOnly,
    )
    assert.ok(ends.length > rootOnly.length, said)
    await until(async () => (await pidsOfUid(uid)).length === 0)
  })

test('what runs below a server that is not root has its uid, no privilege and nothing else of it', {
  skip,
}, async () => {
  await using own = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  await chown(own.dataDir, uid, uid)
  const server = startNode(['--input-type=module', '-e', serverProgram(own.dataDir)])
  try {
    const [report] = (await once(server.stdout, 'data')) as [Buffer]
    const { problem, gaps } = sandboxReport.parse(JSON.parse(String(report)))
    const said = gaps.map(({ what, consequence, fix }) => `${what} ${consequence} ${fix}`)
    assert.equal(problem, null)
    for (const gap of [
      /^The server is not root\. Sessions share its uid: /,
      /^Memory is not held by a control group here: .* A watchdog adds up/,
      /^Processes are not counted by a control group here: /,
      /^The server is not root, so it cannot mount a file system for each session\. /,
    ])
      assert.ok(
        said.some((each) => gap.test(each)),
        `${gap}: ${said.join('\n')}`,
      )
    const pid = await pidOf('sleep')
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    assert.match(status, new RegExp(`^Uid:(\\t${uid}){4}$`, 'm'))
    assert.match(status, /^NoNewPrivs:\t1$/m)
    assert.match(status, /^Seccomp:\t2$/m)
    assert.doesNotMatch(status, /^Cap(?:Prm|Eff|Bnd|Amb):\t.*[1-9a-f]/m)
    for (const kind of ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'])
      assert.notEqual(await namespace(pid, kind), await namespace(server.pid, kind), kind)
  } finally {
    server.kill('SIGKILL')
  }
  await until(async () => (await pidsOfUid(uid)).length === 0)
})

function startNode(args: readonly string[]): ChildProcessByStdio<null, Readable, null> {
  return spawn(process.execPath, ['--conditions=longhaul', ...args], {
    ...{ uid, gid: uid, cwd: '/' },
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Says what its host can hold, and runs something in a sandbox. */
function serverProgram(dataDir: string): string {
  return `
    import { never, openBench } from ${JSON.stringify(join(import.meta.dirname, 'support.ts'))}
    const bench = await openBench({ dataDir: ${JSON.stringify(dataDir)} })
    const sandbox = await bench.open(1)
    sandbox.spawn(['sleep', '300'], { network: false })
    console.log(JSON.stringify(await bench.driver.probe(never)))
    setInterval(() => {}, 1000)`
}

/** The process of the server's uid that has this name, once it runs. */
async function pidOf(name: string): Promise<number> {
  let found: number | undefined
  await until(async () => {
    for (const pid of await pidsOfUid(uid))
      if ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')) === `${name}\n`) found = pid
    return found !== undefined
  })
  assert.ok(found !== undefined)
  return found
}

function namespace(pid: number | undefined, kind: string): Promise<string> {
  return readlink(`/proc/${pid}/ns/${kind}`)
}
