import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bubblewrapArguments, launchCommand } from '../../src/sandbox/arguments.ts'
import { pathsOf } from '../../src/sandbox/directories.ts'
import { environmentInside } from '../../src/sandbox/environment.ts'
import { rlimitOptions } from '../../src/sandbox/limits/rlimit.ts'
import { defaultLimits } from '../../src/sandbox/limits.ts'
import { BoundedOutput } from '../../src/sandbox/output.ts'

test('the options of bwrap are exactly these', () => {
  const options = bubblewrapArguments({
    mounts: [
      { kind: 'read_only', from: '/usr', to: '/usr' },
      { kind: 'symlink', target: 'usr/bin', to: '/bin' },
      { kind: 'memory', bytesMax: 10, to: '/tmp' },
      { kind: 'read_write', from: '/d/w', to: '/d/w' },
    ],
    env: { A: '1' },
    disableUserns: true,
    seccomp: true,
    script: '/run/command',
  })
  assert.deepEqual(options.join(' ').split(' --'), [
    '--unshare-user',
    'unshare-pid',
    'unshare-ipc',
    'unshare-uts',
    'unshare-cgroup',
    'unshare-net',
    'disable-userns',
    'uid 1000',
    'gid 1000',
    'hostname sandbox',
    'new-session',
    'die-with-parent',
    'json-status-fd 4',
    'seccomp 5',
    'clearenv',
    'setenv A 1',
    'proc /proc',
    'ro-bind /proc/sys /proc/sys',
    'dev /dev',
    'perms 1777',
    'size 67108864',
    'tmpfs /dev/shm',
    'remount-ro /dev',
    'ro-bind /usr /usr',
    'symlink usr/bin /bin',
    'perms 1777',
    'size 10',
    'tmpfs /tmp',
    'bind /d/w /d/w',
    'perms 0444',
    'file 6 /run/command',
    'remount-ro /',
  ])
  const older = bubblewrapArguments({
    ...{ mounts: [], env: {}, disableUserns: false, seccomp: true, script: '/run/command' },
  })
  assert.ok(!older.includes('--disable-userns'))
})

test('a root server drops its uid, groups and capabilities before bwrap starts', () => {
  assert.equal(
    launchCommand({ uid: 20_007, rlimits: ['--core=0:0'], command: ['x'] }).join(' '),
    'prlimit --core=0:0 setpriv --reuid 20007 --regid 20007 --clear-groups --no-new-privs ' +
      '--inh-caps=-all --bounding-set=-all bwrap --args 3 -- x',
  )
})

test('a server that is not root keeps its uid', () => {
  assert.equal(
    launchCommand({ uid: null, rlimits: ['--core=0:0'], command: ['x'] }).join(' '),
    'prlimit --core=0:0 bwrap --args 3 -- x',
  )
})

test('processes are counted by uid only where no group counts them and the uid is a slot’s', () => {
  const options = (ownUid: boolean, byRlimit: boolean) =>
    rlimitOptions({
      limits: { ...defaultLimits, processes: 7 },
      ownUid,
      byRlimit: { memory: byRlimit, processes: byRlimit },
    }).join(' ')
  const always = '--core=0:0 --nofile=4096:4096 --fsize=4294967296:4294967296'
  const data = '--data=4294967296:4294967296'
  assert.equal(options(true, false), always)
  assert.equal(options(true, true), `${always} ${data} --nproc=7:7`)
  assert.equal(options(false, true), `${always} ${data}`)
})

test('what cannot be a variable is refused', () => {
  const make = (extra: Record<string, string>) =>
    environmentInside({
      paths: pathsOf('/d'),
      tmp: '/t',
      path: '/p',
      ghConfig: '/g',
      proxyUrl: null,
      extra: [extra],
    })
  assert.throws(() => make({ 'A=B': '1' }), /not an environment variable/)
  assert.throws(() => make({ A: 'x\0y' }), /not an environment variable/)
  assert.equal(make({ HOME: '/other' })['HOME'], '/other')
})

test('a route is a variable where the gateway can be reached, and takes the place of no other', () => {
  const make = (proxyUrl: string | null) =>
    environmentInside({
      ...{ paths: pathsOf('/d'), tmp: '/t', path: '/p', ghConfig: '/g', proxyUrl },
      routes: { VAULT_URL: '/secret/VAULT/', HTTP_PROXY: '/x', PIP_INDEX_URL: '/y' },
      extra: [{ PIP_INDEX_URL: 'https://pypi.example/simple' }],
    })
  const inside = make('http://127.0.0.1:3128')
  assert.equal(inside['VAULT_URL'], 'http://127.0.0.1:3128/secret/VAULT/')
  assert.equal(inside['HTTP_PROXY'], 'http://127.0.0.1:3128')
  assert.equal(inside['PIP_INDEX_URL'], 'https://pypi.example/simple')
  assert.equal(make(null)['VAULT_URL'], undefined)
})

test('bounded output keeps a head and a tail for every way of cutting the stream', () => {
  const text = 'abcdefghijklmnopqrstuvwxyz'
  for (let chunk = 1; chunk <= text.length; chunk += 1) {
    const output = new BoundedOutput(8)
    for (let at = 0; at < text.length; at += chunk)
      output.write(Buffer.from(text.slice(at, at + chunk)))
    assert.equal(output.toString(), 'ab\n[… 18 bytes left out …]\nuvwxyz')
    assert.equal(output.truncated, true)
  }
})

test('bounded output keeps all of what just fits', () => {
  const output = new BoundedOutput(8)
  output.write(Buffer.from('abcde'))
  output.write(Buffer.from('fgh'))
  assert.equal(output.toString(), 'abcdefgh')
  assert.equal(output.truncated, false)
  const empty = new BoundedOutput(0)
  empty.write(Buffer.from('abc'))
  assert.equal(empty.truncated, true)
})
