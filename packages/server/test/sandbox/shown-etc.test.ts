/** The /etc of sandboxes: what is copied of a host's, and when it is copied anew. */
import assert from 'node:assert/strict'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ShownEtc } from '../../src/sandbox/shown-etc.ts'
import { openBench, sh } from './support.ts'

const links = new Map([['passwd', '/run/own/passwd']])

/** A host's /etc, and where it is shown from. */
async function planted(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'lh-etc-'))
  t.after(() => rm(root, { recursive: true }))
  const host = join(root, 'host')
  await mkdir(join(host, 'ssl/certs'), { recursive: true })
  await writeFile(join(host, 'services'), 'ssh 22/tcp\n')
  await writeFile(join(host, 'ssl/certs/bundle.crt'), 'a certificate\n')
  const directory = join(root, 'shown')
  return { host, directory, etc: new ShownEtc({ host, directory, links }) }
}

async function pathOf(etc: ShownEtc): Promise<string> {
  const [first] = await etc.mounts()
  assert.ok(first?.kind === 'read_only' && first.to === '/etc')
  return first.from
}

test('a large directory of the host’s is bound over it, and not when others may not list it', async (t) => {
  const { host, etc } = await planted(t)
  await mkdir(join(host, 'alternatives'))
  for (let n = 0; n < 41; n += 1) await symlink('/usr/bin/env', join(host, `alternatives/${n}`))
  const [first, ...others] = await etc.mounts()
  assert.ok(first?.kind === 'read_only')
  const from = join(host, 'alternatives')
  assert.deepEqual(others, [{ kind: 'read_only', from, to: '/etc/alternatives' }])
  assert.deepEqual(await readdir(join(first.from, 'alternatives')), [])
  await chmod(from, 0o711)
  assert.equal((await etc.mounts()).length, 1)
})

test('of a host’s /etc there is what is listed and what others may read, and nothing else', async (t) => {
  const { host, etc } = await planted(t)
  await writeFile(join(host, 'shadow'), 'not listed')
  await writeFile(join(host, 'timezone'), 'not for others', { mode: 0o640 })
  await writeFile(join(host, 'ssl/certs/key.pem'), 'not for others', { mode: 0o600 })
  await mkdir(join(host, 'ssl/certs/closed'), { mode: 0o711 })
  await writeFile(join(host, 'ssl/certs/closed/file'), 'in what others may not list')
  await symlink('bundle.crt', join(host, 'ssl/certs/0a1b.0'))
  await symlink('/nowhere', join(host, 'mime.types'))
  await symlink('/usr/bin/env', join(host, 'localtime'))
  await symlink('services', join(host, 'protocols'))
  const path = await pathOf(etc)
  const names = (await readdir(path, { recursive: true })).toSorted()
  assert.deepEqual(names, [
    ...['localtime', 'passwd', 'protocols', 'services', 'ssl', 'ssl/certs', 'ssl/certs/0a1b.0'],
    'ssl/certs/bundle.crt',
  ])
  assert.equal(await readlink(join(path, 'passwd')), '/run/own/passwd')
  assert.equal(await readlink(join(path, 'localtime')), '/usr/bin/env')
  assert.equal(await readFile(join(path, 'ssl/certs/0a1b.0'), 'utf8'), 'a certificate\n')
  assert.equal(await readFile(join(path, 'protocols'), 'utf8'), 'ssh 22/tcp\n')
})

test('whatever the umask of the server, others read it and only the server writes it', async (t) => {
  const { etc } = await planted(t)
  const before = process.umask(0o077)
  const path = await pathOf(etc).finally(() => process.umask(before))
  const modes = ['', 'services', 'ssl', 'ssl/certs', 'ssl/certs/bundle.crt'].map(async (name) =>
    ((await stat(join(path, name))).mode & 0o777).toString(8),
  )
  assert.deepEqual(await Promise.all(modes), ['755', '644', '755', '755', '644'])
})

test('it is made once, and anew when an entry of the host’s was replaced, edited or came', async (t) => {
  const { host, etc } = await planted(t)
  const [first, same] = await Promise.all([pathOf(etc), pathOf(etc)])
  assert.equal(first, same)
  const edits = [
    async () => {
      await writeFile(join(host, 'new'), 'another certificate\n')
      await rename(join(host, 'new'), join(host, 'ssl/certs/bundle.crt'))
    },
    () => writeFile(join(host, 'services'), 'http 80/tcp\n'),
    () => writeFile(join(host, 'timezone'), 'Etc/UTC\n'),
    () => mkdir(join(host, 'java-17-openjdk')),
    () => chmod(join(host, 'services'), 0o600),
  ]
  let last = first
  for (const edit of edits) {
    await edit()
    const next = await pathOf(etc)
    assert.notEqual(next, last)
    assert.equal(await pathOf(etc), next)
    last = next
  }
  assert.equal(await readFile(join(last, 'ssl/certs/bundle.crt'), 'utf8'), 'another certificate\n')
  assert.deepEqual((await readdir(last)).toSorted(), [
    ...['java-17-openjdk', 'passwd', 'ssl', 'timezone'],
  ])
  // Who runs in it goes on.
  assert.equal(await readFile(join(first, 'services'), 'utf8'), 'ssh 22/tcp\n')
})

test('what earlier servers made is removed, and not what this one has', async (t) => {
  const { host, directory, etc } = await planted(t)
  await etc.recover() // Nothing was made yet.
  await new ShownEtc({ host, directory, links }).mounts()
  const own = await pathOf(etc)
  await etc.recover()
  assert.deepEqual(
    (await readdir(directory)).map((name) => join(directory, name)),
    [own],
  )
})

test('inside, the host’s certificates and tables are read, and the session’s own account', async () => {
  await using bench = await openBench()
  const sandbox = await bench.open(984)
  const { stdout, stderr } = await sh(
    sandbox,
    `id -un; cat /etc/hosts; getent services ssh; git config --system user.name
    for path in /etc/ssl/certs/*; do [ -r "$path" ] || echo "$path dangles"; done
    ldconfig -p >/dev/null || /sbin/ldconfig -p >/dev/null || echo no cache`,
  )
  assert.match(stdout, /^agent\n127\.0\.0\.1 localhost sandbox\n/, stderr)
  assert.match(stdout, /^Longhaul$/m)
  assert.doesNotMatch(stdout, /dangles|no cache/)
})
