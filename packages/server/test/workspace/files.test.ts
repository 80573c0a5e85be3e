/** Files of a workspace, in a real sandbox: nothing that a path or a link says leads out of it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { excludeByProducts } from '../../src/workspace/by-products.ts'
import {
  copyFile,
  deleteFile,
  listFiles,
  moveFile,
  readFile,
  unfinishedPattern,
  writeFile,
} from '../../src/workspace/files.ts'
import type { Workspace } from '../../src/workspace/git.ts'
import { FileRefused } from '../../src/workspace/path.ts'
import { type Bench, never, openBench, sh, until } from '../sandbox/support.ts'

let bench: Bench
let sandbox: Sandbox
let workspace: Workspace
before(async () => {
  bench = await openBench()
  sandbox = await bench.open(940)
  workspace = { sandbox, signal: never }
})
after(() => bench[Symbol.asyncDispose]())

const text = (value: string): Buffer => Buffer.from(value)

/** What stands outside and can be reached by links; each line is a file with its content's sum. */
async function outside(): Promise<string> {
  const { home, config } = sandbox.paths
  const { stdout } = await sh(
    sandbox,
    `find ${home} ${config} -printf '%p %y %m %s %T@ %l\\n' | sort; ` +
      `find ${home} ${config} -type f -exec sha256sum {} + | sort`,
  )
  return stdout
}

/** A workspace full of ways out. What they lead to is made once, and must stay as it is. */
async function setTraps(): Promise<void> {
  const { home } = sandbox.paths
  const made = await sh(
    sandbox,
    `find . -mindepth 1 -delete && mkdir -p ${home}/there .git real/sub || exit
    [ -e ${home}/secret ] || { echo secret > ${home}/secret; echo inner > ${home}/there/inner; }
    echo one > real/file && echo two > real/sub/file && echo x > .git/config
    ln -s ${home}/secret to-file && ln -s ${home}/there to-dir && ln -s ${home}/absent to-nothing
    ln -s ../../home/there up && ln -s to-dir to-link && ln -s /dev/zero to-device
    ln -s /proc/self/root to-proc && ln -s loop loop && ln -s real inside
    mkfifo fifo real/fifo && ln real/sub/file hard &&
    ${sandbox.nodePath} -e 'require("net").createServer().listen("socket", () => process.kill(process.pid, "SIGKILL"))' || test -S socket`,
  )
  assert.equal(made.exitCode, 0, made.stderr)
}

const long = 'n'.repeat(256)
const notPaths: readonly (readonly [path: string, why: RegExp])[] = [
  ['', /is empty/],
  ['..', /has a `\.\.`/],
  ['../home/secret', /has a `\.\.`/],
  ['real/../../home/secret', /has a `\.\.`/],
  ['real/../real/file', /has a `\.\.`/],
  ['/etc/passwd', /not in the workspace/],
  ['/', /not in the workspace/],
  ['//etc/passwd', /not in the workspace/],
  ['real/file\0.txt', /NUL/],
  ['\0', /NUL/],
  ['real/\nfile', /control character/],
  ['real/\u001bfile', /control character/],
  ['real/\u0085file', /control character/],
  [`real/${long}`, /longer than 255 bytes/],
  [`real/${'é'.repeat(128)}`, /longer than 255 bytes/],
  [`${'d/'.repeat(3000)}file`, /longer than 4095 bytes/],
  [`${'q/'.repeat(500)}f`, /more than 500 levels/],
  [`${'q/'.repeat(2040)}f`, /more than 500 levels/],
  ['real/\ud800', /not well-formed/],
  ['.git', /git's own directory/],
  ['.git/config', /git's own directory/],
  ['.GIT/config', /git's own directory/],
  ['real/.git/hooks/pre-commit', /git's own directory/],
  ['.g\u200cit/config', /git's own directory/],
  ['\uff0e\uff47it/config', /git's own directory/],
  ['git~1/x', /git takes for its own/],
  ['GIT~1', /git takes for its own/],
  ['real/.git /x', /git takes for its own/],
  ['.git./x', /git takes for its own/],
  ['.git. .', /git takes for its own/],
  ['.git::$INDEX_ALLOCATION', /git takes for its own/],
  ['git~1 .:x/y', /git takes for its own/],
  ['a\\.git', /git takes for its own/],
]

let made = 0
const fresh = (): number => (made += 1)

/** Every operation, on a path that is tried; each answers what it says. */
const operations: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  read: (path) => readFile(workspace, path),
  write: (path) => writeFile(workspace, path, text('written')),
  list: (path) => listFiles(workspace, path, { depth: 5 }),
  delete: (path) => deleteFile(workspace, path, { recursive: true }),
  'move from': (path) =>
    moveFile(workspace, { from: path, to: `moved-${fresh()}`, replace: false }),
  'move to': (path) => moveFile(workspace, { from: 'real/file', to: path, replace: true }),
  'copy from': (path) =>
    copyFile(workspace, { from: path, to: `copied-${fresh()}`, replace: false }),
  'copy to': (path) => copyFile(workspace, { from: 'real/file', to: path, replace: true }),
}

test('what is not a path of the workspace is refused by every operation, with a sentence', async () => {
  for (const [operation, run] of Object.entries(operations)) {
    for (const [path, why] of notPaths) {
      // The root is a directory to list; nothing else is done to it.
      const call = run(path)
      await assert.rejects(call, FileRefused, `${operation} ${JSON.stringify(path.slice(0, 40))}`)
      await assert.rejects(call, why)
    }
  }
})

/** What each operation makes of what is at the path: done to the thing itself, or a sentence. */
type Ends = Readonly<Record<keyof typeof operations, 'itself' | RegExp>>
const link = /is a symbolic link, not a (file|directory)/
const throughLink: Ends = Object.fromEntries(Object.keys(operations).map((name) => [name, link]))
const linkItself: Ends = {
  ...throughLink,
  delete: 'itself',
  'move from': 'itself',
  'copy from': 'itself',
}
const special = (kind: RegExp): Ends => ({
  ...Object.fromEntries(Object.keys(operations).map((name) => [name, kind])),
  delete: 'itself',
  'move from': 'itself',
})

const traps: readonly (readonly [path: string, ends: Ends])[] = [
  ['to-dir/inner', throughLink],
  ['to-dir/new', throughLink],
  ['to-link/inner', throughLink],
  ['up/inner', throughLink],
  ['to-proc/etc/passwd', throughLink],
  ['loop/file', throughLink],
  // It leads nowhere but inside; a link is a link.
  ['inside/file', throughLink],
  ['to-file', linkItself],
  ['to-dir', linkItself],
  ['to-nothing', linkItself],
  ['to-link', linkItself],
  ['to-device', linkItself],
  ['to-proc', linkItself],
  ['loop', linkItself],
  ['inside', linkItself],
  ['fifo', special(/is a FIFO/)],
  ['socket', special(/is a socket/)],
]
/** Rows whose links must be there still. */
const throughLinks = 7

test('no link, FIFO or socket is followed or opened, by any operation, and nothing outside changes', async () => {
  await setTraps()
  const before = await outside()
  for (const [operation, run] of Object.entries(operations)) {
    // All that go through a link at once, then what is done to the links themselves.
    for (const rows of [traps.slice(0, throughLinks), traps.slice(throughLinks)]) {
      const tried = rows.map(([path, ends]) => {
        const expected = ends[operation]
        const what = `${operation} ${path}`
        return expected instanceof RegExp ? assert.rejects(run(path), expected, what) : run(path)
      })
      await Promise.all(tried)
    }
    assert.equal(await outside(), before, operation)
    await setTraps()
  }
  assert.equal(await outside(), before)
})

test('a device in the workspace is never opened', {
  skip: process.getuid?.() !== 0 && 'only root makes devices',
}, async () => {
  await setTraps()
  const path = join(sandbox.paths.workspace, 'zero')
  await promisify(execFile)('mknod', ['--mode=0666', path, 'c', '1', '5'])
  const expected = special(/is a device/)
  for (const [operation, run] of Object.entries(operations)) {
    const ends = expected[operation]
    if (ends instanceof RegExp) await assert.rejects(run('zero'), ends, operation)
  }
  assert.equal(await deleteFile(workspace, 'zero', { recursive: false }), 'a device')
})

test('a tree with links and hard links is copied and deleted without touching what they lead to', async () => {
  await setTraps()
  const before = await outside()
  await sh(sandbox, `rm fifo real/fifo socket; mkdir tree; cp -a to-dir to-file hard real tree/`)
  await copyFile(workspace, { from: 'tree', to: 'deep/copy', replace: false })
  const { stdout } = await sh(sandbox, 'cd deep/copy && find . -printf "%p %y %l\\n" | sort')
  const { home } = sandbox.paths
  assert.equal(
    stdout,
    `. d \n./hard f \n./real d \n./real/file f \n./real/sub d \n./real/sub/file f \n` +
      `./to-dir l ${home}/there\n./to-file l ${home}/secret\n`,
  )
  await writeFile(workspace, 'hard', text('mine alone'))
  await deleteFile(workspace, 'tree', { recursive: true })
  await deleteFile(workspace, 'deep', { recursive: true })
  assert.equal(await outside(), before)
})

test('a directory that is exchanged for a link all the time never leads out', async () => {
  await setTraps()
  const { home } = sandbox.paths
  await sh(sandbox, `mkdir flip && ln -s ${home}/there flipped`)
  const before = await outside()
  const flipper = sandbox.spawn([sandbox.nodePath, '--eval', flip], { network: false })
  flipper.stderr.resume()
  const flips: Promise<string> = new Promise((resolve) => {
    flipper.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
  })
  await flips
  const ends: string[] = []
  for (let n = 0; n < 12; n += 1) {
    const calls = [
      writeFile(workspace, `flip/written-${n}`, text('written')),
      moveFile(workspace, { from: 'flip/inner', to: `moved-${n}`, replace: true }),
      deleteFile(workspace, 'flip/inner', { recursive: true }),
      readFile(workspace, 'flip/inner').then((data) => assert.notEqual(`${data}`, 'inner\n')),
    ]
    for (const call of await Promise.allSettled(calls)) {
      const refused = call.status === 'rejected' && call.reason instanceof FileRefused
      assert.ok(refused || call.status === 'fulfilled', String(Reflect.get(call, 'reason')))
      ends.push(call.status)
    }
  }
  flipper.kill('SIGKILL')
  assert.ok(ends.includes('rejected'))
  assert.equal(await outside(), before)
})

const flip = `
const { renameSync } = require('node:fs')
console.log('begun')
for (;;) {
  renameSync('flip', 'held')
  renameSync('flipped', 'flip')
  renameSync('flip', 'flipped')
  renameSync('held', 'flip')
}`

test('files are written as a whole, with their directories, and keep their mode', async () => {
  await setTraps()
  const { workspace: root } = sandbox.paths
  assert.deepEqual(await writeFile(workspace, 'a/b/c.txt', text('one')), { replaced: false })
  await sh(sandbox, 'chmod 755 a/b/c.txt')
  assert.deepEqual(await writeFile(workspace, `${root}/a//b/./c.txt`, text('zwei €')), {
    replaced: true,
  })
  assert.equal(`${await readFile(workspace, 'a/b/c.txt')}`, 'zwei €')
  const { stdout } = await sh(sandbox, 'stat -c "%a %F" a/b/c.txt; ls -A a/b')
  assert.equal(stdout, '755 regular file\nc.txt\n')
  const again = writeFile(workspace, 'a/b/c.txt', text('three'), { isNew: true })
  await assert.rejects(again, /exists already/)
  await assert.rejects(writeFile(workspace, 'a', text('x')), /"a" is a directory, not a file/)
  await assert.rejects(writeFile(workspace, 'real/file/x', text('x')), /"real\/file" is a file/)
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
  await writeFile(workspace, 'ünïcödé \u202e 名.bin', bytes)
  assert.deepEqual(await readFile(workspace, 'ünïcödé \u202e 名.bin'), bytes)
})

test('sizes are bounded: of what is read, written, listed', async () => {
  await setTraps()
  await sh(
    sandbox,
    'truncate -s 3G huge; truncate -s 8388608 full; mkdir many; touch many/{1..1200}',
  )
  await assert.rejects(readFile(workspace, 'huge'), /has 3221225472 bytes; at most 8388608/)
  assert.equal((await readFile(workspace, 'full')).length, 8_388_608)
  await assert.rejects(
    writeFile(workspace, 'new', Buffer.alloc(8_388_609)),
    /at most 8388608 bytes is written/,
  )
  await writeFile(workspace, 'new', Buffer.alloc(8_388_608))
  const { entries, more } = await listFiles(workspace, 'many', { depth: 1 })
  assert.deepEqual([entries.length, more], [1000, true])
  await assert.rejects(
    copyFile(workspace, { from: 'huge', to: 'h2', replace: false }),
    /more than 1073741824 bytes/,
  )
  const { stdout } = await sh(sandbox, 'ls -A | grep -c longhaul; true')
  assert.equal(stdout, '0\n')
})

test('what a killed call leaves half made is not what git sees', async () => {
  const script = 'find . -mindepth 1 -delete; git init -q; mkdir tree; touch tree/{1..15000}'
  await sh(sandbox, `${script}; echo /tree/ > .git/info/exclude`)
  await excludeByProducts(workspace, [unfinishedPattern])
  const killed = new AbortController()
  const cut = { sandbox, signal: killed.signal }
  const copied = assert.rejects(copyFile(cut, { from: 'tree', to: 'copy', replace: false }))
  const left = async () => (await sh(sandbox, 'ls -A | grep "^.longhaul-"')).stdout
  await until(async () => (await left()) !== '')
  killed.abort(new Error('the agent was closed'))
  await copied
  assert.match(await left(), /^\.longhaul-/)
  const { stdout } = await sh(sandbox, 'git status --porcelain')
  assert.equal(stdout, '')
})

test('a listing names links and does not enter them, nor git', async () => {
  await setTraps()
  const { entries } = await listFiles(workspace, '.', { depth: 2 })
  const shown = entries.map(({ path, kind }) => `${path}: ${kind}`)
  for (const line of ['to-dir: a symbolic link', 'real/sub: a directory', 'fifo: a FIFO'])
    assert.ok(shown.includes(line), line)
  assert.ok(!shown.some((line) => /^\.git|^to-dir\/|^real\/sub\//.test(line)), shown.join('\n'))
})

test('what is there is not replaced or removed by accident', async () => {
  await setTraps()
  const move = (from: string, to: string, replace = false) =>
    moveFile(workspace, { from, to, replace })
  const copy = (from: string, to: string, replace = false) =>
    copyFile(workspace, { from, to, replace })
  await assert.rejects(deleteFile(workspace, 'real', { recursive: false }), /not empty/)
  await assert.rejects(deleteFile(workspace, 'absent', { recursive: true }), /does not exist/)
  await assert.rejects(deleteFile(workspace, '.', { recursive: true }), /the workspace itself/)
  await assert.rejects(move('.', 'x'), /the workspace itself/)
  await assert.rejects(move('real/file', 'hard'), /exists already/)
  await assert.rejects(move('real/file', 'real/sub', true), /is a directory, not a file/)
  await assert.rejects(move('real', 'hard', true), /exists already/)
  await assert.rejects(move('real', 'real/sub/real'), /into itself/)
  await assert.rejects(copy('real', 'real/sub/real'), /into itself/)
  await assert.rejects(copy('real', 'deep'), /"fifo" is a FIFO/)
  assert.equal(await move('real/file', 'hard', true), 'a file')
  assert.equal(`${await readFile(workspace, 'hard')}`, 'one\n')
  assert.equal(await move('real/sub', 'new/place'), 'a directory')
  assert.equal(await copy('new', 'newer'), 'a directory')
  assert.equal(await copy('newer/place/file', 'hard', true), 'a file')
  assert.equal(`${await readFile(workspace, 'hard')}`, 'two\n')
  const { stdout } = await sh(sandbox, 'ls -A | grep longhaul; true')
  assert.equal(stdout, '')
})

test('a path has as many levels as can be deleted again, and what fails leaves no directory behind', async () => {
  await setTraps()
  const deep = `${'q/'.repeat(499)}f`
  await writeFile(workspace, deep, text('deep'))
  assert.equal(`${await readFile(workspace, deep)}`, 'deep')
  await copyFile(workspace, { from: 'q', to: 'r', replace: false })
  for (const path of ['q', 'r']) await deleteFile(workspace, path, { recursive: true })
  await sh(sandbox, 'mkdir -p most; mkfifo most/fifo')
  const to = 'new/more/most'
  await assert.rejects(copyFile(workspace, { from: 'most', to, replace: false }), /FIFO/)
  await assert.rejects(moveFile(workspace, { from: 'most', to: 'most/in/it/x', replace: false }))
  const { stdout } = await sh(sandbox, 'ls -d q r new most/*; true')
  assert.equal(stdout, 'most/fifo\n')
})
