import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createLog } from '../../src/log.ts'
import { ensureReachable, findClaude } from '../../src/sandbox/binaries.ts'
import { never, openBench } from './support.ts'

const isRoot = process.getuid?.() === 0
const systemPath = '/usr/local/bin:/usr/bin:/bin'
const directories: string[] = []
const temporary = async (name: string): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), name))
  await chmod(directory, 0o711)
  directories.push(directory)
  return directory
}
const fakeBwrap = async (script: string): Promise<string> => {
  const directory = await temporary('lh-bin-')
  await writeFile(join(directory, 'bwrap'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  await chmod(join(directory, 'bwrap'), 0o755)
  return `${directory}:${systemPath}`
}
after(async () => {
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
})

test('a host that can hold the walls is told so, and nothing is left behind', async () => {
  await using bench = await openBench()
  const [report, again] = await Promise.all([bench.driver.probe(never), bench.driver.probe(never)])
  assert.deepEqual(again, report)
  assert.equal(report.problem, null)
  assert.equal(report.ok, true)
  assert.deepEqual(
    Object.entries(report.isolates).filter(([, holds]) => !holds),
    isRoot ? [] : [['uid_separate', false]],
  )
  assert.deepEqual(await readdir(join(bench.dataDir, 'sessions')), [])
})

test('a bwrap that may not make namespaces is reported in its words, with the fix', async () => {
  const words = 'bwrap: No permissions to create new namespace'
  await using bench = await openBench({ path: await fakeBwrap(`echo "${words}" >&2; exit 1`) })
  const report = await bench.driver.probe(never)
  assert.equal(report.ok, false)
  assert.ok(report.problem?.includes(words))
  assert.match(report.problem ?? '', /RestrictNamespaces=no/)
  assert.ok(!Object.values(report.isolates).includes(true))
})

test('a missing bwrap is reported with what to install', async () => {
  const path = await temporary('lh-empty-')
  await using bench = await openBench({ path })
  const report = await bench.driver.probe(never)
  assert.match(
    report.problem ?? '',
    /missing: bwrap, prlimit.*apt-get install bubblewrap util-linux\./,
  )
})

test('a bwrap that only pretends is found out by the self-test', async () => {
  await using bench = await openBench({
    path: await fakeBwrap(
      // The command is in the script that comes through descriptor 6.
      `[ "$1" = --args ] || exit 1; exec /bin/sh -c "$(sed 's|[.] /run/longhaul/init;|shift 2; exec "$@";|' <&6)"`,
    ),
  })
  const report = await bench.driver.probe(never)
  assert.equal(report.ok, false)
  assert.match(report.problem ?? '', /self-test failed/)
  assert.match(report.problem ?? '', /files of the host are not there; that/)
})

test('a data directory that cannot be passed is named, with the fix', {
  skip: !isRoot,
}, async () => {
  const closed = join(await temporary('lh-closed-'), 'closed')
  await mkdir(closed, { mode: 0o700 })
  const dataDir = join(closed, 'data')
  await mkdir(dataDir)
  await using bench = await openBench({ dataDir })
  const report = await bench.driver.probe(never)
  assert.equal(
    report.problem,
    `The directory ${closed} cannot be passed by the unprivileged user that agents run as: run \`chmod o+x ${closed}\`, or set DATA_DIR to a place that can be.`,
  )
})

test('a data directory whose socket paths would be too long is refused', async () => {
  const dataDir = join(await temporary('lh-'), 'x'.repeat(60))
  await mkdir(dataDir)
  await using bench = await openBench({ dataDir })
  const report = await bench.driver.probe(never)
  assert.match(report.problem ?? '', /set DATA_DIR to a shorter path/)
  await assert.rejects(bench.open(921, `sesn_${'0'.repeat(26)}`), /allows 107/)
})

test('an aborted probe rejects with the reason', async () => {
  await using bench = await openBench()
  await assert.rejects(bench.driver.probe(AbortSignal.abort(new Error('stop'))), /stop/)
})

test('the claude binary is made reachable once, and again when it changed', {
  skip: !isRoot,
}, async () => {
  const dataDir = await temporary('lh-claude-')
  const o = { name: 'claude', dataDir, log: createLog('silent') }
  const ensure = () => ensureReachable(findClaude(), o)
  const [path, same] = await Promise.all([ensure(), ensure()])
  assert.equal(path, join(dataDir, 'bin', 'claude'))
  assert.equal(same, path)
  const first = await stat(path)
  assert.equal(first.size, (await stat(findClaude())).size)
  await rm(path)
  await writeFile(path, 'an older one')
  await ensure()
  assert.equal((await stat(path)).size, first.size)
  assert.deepEqual(await readdir(join(dataDir, 'bin')), ['claude'])
})
