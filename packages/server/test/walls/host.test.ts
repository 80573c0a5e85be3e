/**
 * What of the host a sandbox reaches: nothing. Attacks of 2.7 of the sandbox reference on files,
 * processes, sockets and devices; the walls that stop them are in `mutations.ts`.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { type Bench, commandPidsOfUid, openBench, sh, uidBase } from '../sandbox/support.ts'
import { JumpClock } from '../support/jump-clock.ts'
import { assertUnread, attack, canary, isRoot, nodeScript, plant, rootOnly } from './attack.ts'
import { talkative } from './way-out.ts'

let bench: Bench
let sandbox: Sandbox
before(async () => {
  process.env['LONGHAUL_TEST_CANARY'] = canary
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  sandbox = await bench.open(961)
})
after(async () => {
  delete process.env['LONGHAUL_TEST_CANARY']
  await bench[Symbol.asyncDispose]()
})

test('a file of the host is read by no path: links, parents, the root and directory of pid 1', async () => {
  const secret = join(bench.dataDir, 'secret')
  await writeFile(secret, canary, { mode: 0o644 })
  const paths = [secret, '../../../secret', `/proc/1/root${secret}`, '/proc/1/cwd/../../../secret']
  const tries = paths.map((path) => `cat ${path}; ln -sfn ${path} l; cat l`)
  assertUnread(await attack(sandbox, `${tries.join('\n')}\nls -lR ../.. | grep secret`))
})

test('a session’s files are not there for another session', async () => {
  const other = await bench.open(962)
  await sh(other, `echo ${canary} >file; echo ${canary} >/tmp/file; chmod -R a+rX . /tmp`)
  await chmod(other.paths.workspace, 0o755)
  assertUnread(await attack(sandbox, `cat ${other.paths.workspace}/file ${other.paths.tmp}/file`))
})

test('the server’s environment is not that of any process inside', async () => {
  const script = 'for p in /proc/[0-9]*; do tr "\\0" "\\n" <$p/environ; done'
  const result = await attack(sandbox, script, { network: true, env: { MINE: 'seen' } })
  assert.match(result.stdout, /^MINE=seen$/m)
  assertUnread(result)
})

test('variables and paths given to bwrap are in no command line inside', async () => {
  const script = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline; done'
  const result = await attack(sandbox, script, { network: true, env: { MINE: canary } })
  assert.match(result.stdout, /socat/)
  assertUnread(result)
})

test('a socket file of the host is not there to connect to', async () => {
  const path = join(bench.dataDir, 'socket')
  await using _server = await talkative({ path })
  await chmod(path, 0o666)
  assertUnread(await attack(sandbox, connectTo({ path })))
})

test('an abstract socket of the host is not heard', async () => {
  const path = `\0longhaul-${process.pid}`
  await using _server = await talkative({ path })
  assertUnread(await attack(sandbox, connectTo({ path })))
})

test('a port of the host is not heard, by TCP or UDP', async () => {
  await using server = await talkative({ port: 0, host: '127.0.0.1' })
  const { port } = server
  const heard: string[] = []
  await using datagrams = createSocket('udp4', (message) => heard.push(String(message)))
  datagrams.bind(port, '127.0.0.1')
  await once(datagrams, 'listening')
  const both = `${connectTo({ port, host: '127.0.0.1' })}; echo sent >/dev/udp/127.0.0.1/${port}`
  assertUnread(await attack(sandbox, both))
  assert.deepEqual(heard, [], 'the canary socket got a datagram')
})

test('a process of the host is neither read nor signalled', async () => {
  await using host = await plantProcess(sandbox)
  const { pid } = host.child
  assertUnread(await attack(sandbox, `cat /proc/${pid}/environ; kill -9 ${pid}`))
  host.child.kill('SIGTERM')
  const [, signal] = await host.ended
  assert.equal(signal, 'SIGTERM', 'the canary process was killed from inside')
})

test('shared memory of the host is not read', async (t) => {
  const id = await plant(
    'perl',
    '-e',
    `$id = shmget(0, 4096, 01666); shmwrite($id, "${canary}", 0, ${canary.length}); print $id`,
  )
  t.after(() => plant('perl', '-e', `shmctl(${id}, 0, 0)`))
  assertUnread(await attack(sandbox, `perl -e 'shmread(${id}, $b, 0, 64); print $b'`))
})

test('of the devices of the host none is there, nor its control groups', async () => {
  const { stdout } = await attack(sandbox, 'ls /dev /sys/fs/cgroup /sys')
  const known =
    /^(?:console|core|fd|full|null|ptmx|pts|random|shm|std(?:err|in|out)|tty|u?random|zero)$/
  const found = stdout.split('\n').filter((name) => /^\w/.test(name) && !known.test(name))
  assert.deepEqual(found, ['tried'], `a canary is there: ${found.slice(0, 10).join(' ')}`)
})

test('what only its owner may read stays so where it is shown', { skip: rootOnly }, async () => {
  const shown = await plantShown()
  await writeFile(join(shown, 'private'), canary, { mode: 0o600 })
  assertUnread(await attack(sandbox, `cat ${shown}/private`, { show: [shown], cwd: '/' }))
})

test('a program with root’s setuid bit runs as who started it, and su makes nobody root', {
  skip: rootOnly,
}, async () => {
  const shown = await plantShown()
  await writeFile(join(shown, 'roots'), canary, { mode: 0o600 })
  for (const name of ['cat', 'id']) {
    await copyFile(`/usr/bin/${name}`, join(shown, name))
    await chmod(join(shown, name), 0o4755)
  }
  const su = `echo x | setsid su -c 'cat ${shown}/roots; id -u'`
  const script = `${shown}/id -u; ${shown}/cat ${shown}/roots; ${su}; grep NoNewPrivs /proc/self/status`
  const result = await attack(sandbox, script, { show: [shown], cwd: '/' })
  assertUnread(result)
  assert.equal(result.stdout, '1000\nNoNewPrivs:\t1\ntried\n', 'the canary program ran as root')
  assert.match(result.stderr, /su: /)
})

test('no node of a device is made, of no disk and of no memory', { skip: rootOnly }, async () => {
  const nodes = 'mknod disk b 254 0 || mknod memory c 1 1; ls disk memory; rm -f disk memory'
  const { stdout, stderr } = await attack(sandbox, nodes)
  assert.equal(stdout, 'tried\n', 'a canary device was made')
  assert.match(stderr, /disk: Operation not permitted/)
})

test('a shared directory is not written, whatever its mode', async () => {
  const shown = await plantShown()
  const file = join(shown, 'open')
  await writeFile(file, canary)
  await chmod(file, 0o666)
  await attack(sandbox, `echo written >${file}`, { show: [shown] })
  assert.equal(await readFile(file, 'utf8'), canary, 'the canary was written')
})

test('system settings do not open for writing', { skip: rootOnly }, async () => {
  // Opened only: as root under weaker walls a write would succeed.
  const script =
    'for f in kernel/core_pattern vm/drop_caches; do (: >>/proc/sys/$f) && echo $f; done'
  const { stdout } = await attack(sandbox, script, { cwd: '/' })
  assert.equal(stdout, 'tried\n', 'a canary setting opened')
})

test('the root inside, which would be memory without a bound, is not written', async () => {
  const { stdout } = await attack(
    sandbox,
    '(: >/written) && echo /written; (: >/run/written) && echo run',
  )
  assert.equal(stdout, 'tried\n', 'the canary path was written')
})

test('the first program inside is not changed for the next command', async () => {
  const init = join(sandbox.paths.root, 'etc', 'init')
  const whole = await readFile(init, 'utf8')
  await attack(sandbox, 'echo "echo evil" >>/run/longhaul/init; rm -f /run/longhaul/init')
  assert.equal(await readFile(init, 'utf8'), whole, 'the canary file was changed')
})

test('the /etc that every session is shown is not changed by one of them', async () => {
  const script = `echo ${canary} >>/etc/services; rm -f /etc/services; echo ${canary} >/etc/planted`
  await attack(sandbox, script)
  const other = await bench.open(963)
  assertUnread(await attack(other, 'cat /etc/services /etc/planted'))
})

test('the gateway’s socket is not replaced by one of the agent’s', async () => {
  const { gatewaySocket } = sandbox.paths
  await using _gateway = await talkative({ path: gatewaySocket })
  const script = `rm -f ${gatewaySocket}; echo evil >${gatewaySocket}`
  await attack(sandbox, script, { network: true })
  const kind = await plant('stat', '--format=%F', gatewaySocket)
  assert.equal(kind, 'socket', 'the canary socket was replaced')
})

test('tracing pid 1 hangs nothing but the sandbox, which its time limit ends', async () => {
  const clock = new JumpClock()
  await using own = await openBench({ clock })
  const traced = await own.open(965)
  await using host = await plantProcess(traced)
  // PTRACE_ATTACH stops pid 1, and what waits for it with it.
  const trace = `$| = 1; $trace = \`uname -m\` =~ /x86_64/ ? 101 : 117;
    print syscall($trace, 16, ${host.child.pid}, 0, 0) == 0 ? "${canary}" : "no such process", "\\n";
    print syscall($trace, 16, 1, 0, 0) == 0 ? "pid 1 hangs\\n" : "pid 1 is safe\\n"; sleep 300`
  let said = ''
  const result = await sh(traced, `perl -e '${trace}'`, {
    timeoutMs: 100_000,
    onOutput(chunk) {
      said += chunk
      if (/^pid 1/m.test(said)) clock.jump(100_000)
    },
  })
  assertUnread(result)
  assert.match(result.stdout, /^no such process\npid 1/)
  assert.equal(result.timedOut, true)
  if (isRoot) assert.deepEqual(await commandPidsOfUid(uidBase + 965), [host.child.pid])
})

/** A directory of another owner, with what the shared slot has for every session. */
async function plantShown(): Promise<string> {
  const shown = join(bench.dataDir, 'shown')
  await mkdir(shown, { recursive: true })
  await chmod(shown, 0o755)
  return shown
}

/** A process of the host with the sandbox's own uid, and the canary in its environment. */
async function plantProcess({ uid }: Sandbox) {
  const own = uid === null ? {} : { uid, gid: uid }
  const child: ChildProcess = spawn('sleep', ['300'], {
    ...own,
    env: { CANARY: canary },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  await once(child, 'spawn')
  return {
    child,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function connectTo(target: { path: string } | { port: number; host: string }): string {
  return nodeScript(
    sandbox,
    `const s = require('node:net').connect(${JSON.stringify(target)}); s.on('error', (e) => console.log(e.code)); s.pipe(process.stdout)`,
  )
}
