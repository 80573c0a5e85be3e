import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { gitConfig } from '../../src/sandbox/git-config.ts'
import { defaultLimits } from '../../src/sandbox/limits.ts'
import { type Bench, never, openBench, pidsOfUid, sh, uidBase, until } from './support.ts'

const isRoot = process.getuid?.() === 0
const canary = 'canary-3f9a1c-of-the-server'
let bench: Bench
let sandbox: Sandbox

before(async () => {
  process.env['LONGHAUL_TEST_CANARY'] = canary
  // Not below /tmp: there a session's /tmp is memory, and this file tests the usual layout.
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  sandbox = await bench.open(901)
})
after(async () => {
  delete process.env['LONGHAUL_TEST_CANARY']
  await bench[Symbol.asyncDispose]()
})

test('a command has the environment that was built for it and nothing of the server', async () => {
  const { stdout } = await sh(sandbox, 'env', { env: { MINE: "it's\na b" } })
  assert.match(stdout, /^FROM_SPEC=spec$/m)
  assert.match(stdout, /^MINE=it's\na b$/m)
  assert.match(stdout, new RegExp(`^HOME=${sandbox.paths.home}$`, 'm'))
  assert.match(stdout, new RegExp(`^CLAUDE_CONFIG_DIR=${sandbox.paths.config}$`, 'm'))
  assert.match(stdout, /^PATH=\/usr\/local\/bin:\/usr\/bin:\/bin$/m)
  assert.doesNotMatch(stdout, /PROXY/)
})

test('no process inside has a variable of the server, nor a mount in its command line', async () => {
  const { stdout } = await sh(
    sandbox,
    'for p in /proc/[0-9]*; do tr "\\0" "\\n" <$p/environ; tr "\\0" " " <$p/cmdline; echo; done',
    { network: true, env: { VISIBLE: 'here' } },
  )
  assert.match(stdout, /VISIBLE=here/)
  assert.match(stdout, /socat/)
  assert.ok(!stdout.includes(canary))
  assert.ok(!stdout.includes('--ro-bind'))
  assert.ok(!stdout.includes('--setenv'))
})

test('files of the host are absent, through links and parents too', async () => {
  const secret = join(bench.dataDir, 'secret')
  await writeFile(secret, canary, { mode: 0o644 })
  const paths = [secret, '/etc/shadow', '/root', '/home', '/sys', '/var/log', import.meta.filename]
  const tries = paths.map((path) => `cat ${path}; ls ${path}; ln -sf ${path} l; cat l`)
  const { stdout } = await sh(
    sandbox,
    `${tries.join('\n')}\ncat ../../../secret /proc/1/root${secret}`,
  )
  assert.equal(stdout, '')
})

test('only its own directories can be written', async () => {
  const paths = [
    sandbox.paths.workspace,
    sandbox.paths.home,
    sandbox.paths.config,
    '/tmp',
    '/dev/shm',
  ]
  const { stdout } = await sh(
    sandbox,
    `for d in / /usr /etc /opt /run /run/longhaul /dev /proc/sys/kernel ${sandbox.paths.root} ${paths.join(' ')}; do
      (: >$d/written) 2>/dev/null && echo $d; done`,
    { network: true },
  )
  assert.deepEqual(stdout.trim().split('\n'), paths)
})

test('system settings cannot be opened for writing', async () => {
  // Opened only: as root under weaker walls a write would succeed.
  const { stdout } = await sh(
    sandbox,
    'for f in kernel/core_pattern vm/drop_caches kernel/hostname; do (: >>/proc/sys/$f) && echo $f; done',
  )
  assert.equal(stdout, '')
})

test('there are no capabilities, no new privileges and no further namespaces', async () => {
  const { stdout } = await sh(
    sandbox,
    'grep -E "^(Cap|NoNewPrivs)" /proc/self/status; unshare --user true && echo nested; unshare --mount true && echo mounts; echo end',
  )
  assert.match(stdout, /^NoNewPrivs:\t1$/m)
  assert.match(stdout, /^CapBnd:\t0{16}$/m)
  assert.doesNotMatch(stdout, /^Cap\w+:\t.*[1-9a-f]/m)
  assert.doesNotMatch(stdout, /nested|mounts/)
})

test('limits on files, open files and core dumps are set', async () => {
  const { stdout } = await sh(sandbox, 'ulimit -Hn; ulimit -Hc; ulimit -Hf')
  assert.deepEqual(stdout.trim().split('\n'), ['4096', '0', String(4 * 1024 ** 2)])
})

test('below a root server it runs as the uid of its slot', { skip: !isRoot }, async () => {
  const running = sandbox.spawn(['sleep', '30'], { network: false })
  const names = async () => {
    const pids = await pidsOfUid(uidBase + 901)
    const all = await Promise.all(
      pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
    )
    return all.map((name) => name.trim())
  }
  await until(async () => (await names()).includes('sleep'))
  assert.equal(sandbox.uid, uidBase + 901)
  assert.ok((await names()).includes('bwrap'))
  const uidMap = await readFile(`/proc/${running.pid}/status`, 'utf8')
  assert.match(uidMap, new RegExp(`^Uid:(\\t${sandbox.uid}){4}$`, 'm'))
  assert.match(uidMap, /^Groups:\t\s*$/m)
  await sandbox.killAll()
})

test('the gateway is the only thing that can be reached', async () => {
  const { promise: asked, resolve } = Promise.withResolvers<string>()
  const gateway = createHttpServer((request, response) => {
    resolve(request.url ?? '')
    response.end('from the gateway')
  })
  gateway.listen(sandbox.paths.gatewaySocket)
  const host = createServer((socket) => socket.end(canary))
  host.listen(0, '127.0.0.1')
  await Promise.all([once(gateway, 'listening'), once(host, 'listening')])
  if (sandbox.uid !== null) await chown(sandbox.paths.gatewaySocket, sandbox.uid, sandbox.uid)
  const { port } = host.address() as AddressInfo
  const control = connect(port, '127.0.0.1')
  const [heard] = (await once(control, 'data')) as [Buffer]
  assert.equal(String(heard), canary)

  const get = 'exec 3<>/dev/tcp/127.0.0.1/3128; printf "GET /it HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
  const { stdout } = await sh(sandbox, get, { network: true })
  assert.match(stdout, /from the gateway$/)
  assert.equal(await asked, '/it')
  const { stdout: proxy } = await sh(sandbox, 'echo $https_proxy $HTTP_PROXY $NO_PROXY', {
    network: true,
  })
  assert.equal(proxy.trim(), `${sandbox.gatewayUrl} ${sandbox.gatewayUrl} 127.0.0.1,localhost`)

  for (const network of [true, false]) {
    const direct = await sh(
      sandbox,
      `for to in 127.0.0.1/${port} 127.0.0.1/22 169.254.169.254/80 10.0.0.1/80; do (cat </dev/tcp/$to) && echo reached; done`,
      { network },
    )
    assert.equal(direct.stdout, '')
    assert.equal(direct.timedOut, false)
  }
  const { exitCode } = await sh(sandbox, `${get}; ls ${sandbox.paths.gatewaySocket}`)
  assert.notEqual(exitCode, 0)
  gateway.close()
  host.close()
})

test('two sandboxes see neither the files nor the processes of each other', async () => {
  const other = await bench.open(902)
  await sh(sandbox, 'echo mine >file; echo mine >/tmp/file')
  const running = sandbox.spawn(['sleep', '31'], { network: false })
  const { stdout } = await sh(
    other,
    `cat ${sandbox.paths.workspace}/file ${sandbox.paths.tmp}/file /tmp/file; ls ${sandbox.paths.root}; grep -l sleep /proc/[0-9]*/comm; kill -9 ${running.pid}`,
  )
  assert.equal(stdout, '')
  assert.equal(running.exitCode, null)
  await sandbox.killAll()
})

test('two sandboxes hear neither the sockets nor the ports of each other, nor share memory', async () => {
  const other = await bench.open(908)
  const listen = `const { createServer } = require('node:net')
    const { execFileSync } = require('node:child_process')
    const { writeFileSync } = require('node:fs')
    const perl = '$id = shmget(4660, 64, 01666); shmwrite($id, "${canary}", 0, ${canary.length}); print $id'
    const targets = ['\\0longhaul-canary', '/tmp/canary.sock', { port: 4660, host: '127.0.0.1' }]
    let left = targets.length
    writeFileSync('/dev/shm/canary', '${canary}')
    const id = execFileSync('perl', ['-e', perl])
    for (const target of targets)
      createServer((s) => s.end('${canary}')).listen(target, () => --left || console.log('on ' + id))`
  const connect = `const { connect } = require('node:net')
    for (const target of ['\\0longhaul-canary', '/tmp/canary.sock', { port: 4660, host: '127.0.0.1' }])
      connect(target).on('error', (e) => console.log(e.code)).pipe(process.stdout)`
  const running = sandbox.spawn([sandbox.nodePath, '-e', listen], { network: false })
  const [line] = (await once(running.stdout, 'data')) as [Buffer]
  const id = /^on (\d+)$/m.exec(String(line))?.[1]
  const script = `"$1" -e "$2"; cat /dev/shm/canary; perl -e 'print shmread(${id}, $b, 0, 64) ? $b : "no segment"'`
  const tries = await other.exec(['bash', '-c', script, 'sh', other.nodePath, connect], {
    ...{ network: false, timeoutMs: 60_000, outputBytesMax: 10_000, signal: never },
  })
  assert.deepEqual(tries.stdout.match(/[A-Z]{6,}|no segment|canary/g)?.sort(), [
    ...['ECONNREFUSED', 'ECONNREFUSED', 'ENOENT', 'no segment'],
  ])
  assert.equal(running.exitCode, null)
  await sandbox.killAll()
})

test('what is left in /tmp is there for the next command, and on disk', async () => {
  await sh(sandbox, 'echo kept >/tmp/kept')
  const { stdout } = await sh(sandbox, `echo $TMPDIR; cat ${sandbox.paths.tmp}/kept`)
  assert.equal(stdout, '/tmp\nkept\n')
})

test('below /tmp the temporary directory still outlives a command', async () => {
  await using below = await openBench()
  const other = await below.open(907)
  await sh(other, 'echo kept >$TMPDIR/kept; touch /tmp/gone')
  const { stdout } = await sh(other, 'cat $TMPDIR/kept; ls /tmp/gone')
  assert.equal(stdout, 'kept\n')
})

test('git inside rewrites the prefixes of the session to the gateway', async () => {
  const { stdout } = await sh(
    sandbox,
    'git config --system --get-all url.http://127.0.0.1:3128/git/.insteadOf; git init -q . && git commit -q --allow-empty -m x && git log --format=%an; rm -rf .git',
  )
  assert.equal(stdout, 'https://git.example/\ngit@git.example:\nLonghaul\n')
})

test('a git URL prefix is quoted, and one with a control character is refused', () => {
  const config = (from: string) => gitConfig({ gatewayUrl: 'http://gw', rewrites: [{ from }] })
  assert.match(config('a"b\\c'), /insteadOf = "a\\"b\\\\c"/)
  assert.throws(() => config('a\nb'), /control character/)
})

test('git inside commits as who the session names, whatever signs the name has', async () => {
  const committer = { name: 'A "quoted" \\ name; # here', email: 'a+b[c]@d.example' }
  const text = gitConfig({ gatewayUrl: 'http://gw', rewrites: [], committer })
  const script =
    'cat >g; for k in name email; do GIT_CONFIG_SYSTEM=$PWD/g git config --system user.$k; done; rm g'
  const { stdout } = await sh(sandbox, script, { input: text })
  assert.equal(stdout, `${committer.name}\n${committer.email}\n`)
})

test('the claude binary runs inside', async () => {
  const { stdout } = await sandbox.exec([sandbox.claudePath, '--version'], {
    network: true,
    timeoutMs: 60_000,
    outputBytesMax: 10_000,
    signal: never,
  })
  assert.match(stdout, /^\d+\.\d+\.\d+ \(Claude Code\)/)
})

test('destroy removes what the agent left, and nothing that its links point to', async () => {
  const doomed = await bench.open(903)
  const target = join(bench.dataDir, 'target')
  await mkdir(target)
  await writeFile(join(target, 'keep'), 'keep')
  await sh(
    doomed,
    `ln -s ${target} directory-link; ln -s ${target}/keep file-link; ln -s /etc/passwd ~/p
     mkdir -p deep/locked && touch deep/locked/x && chmod 0 deep/locked deep; mkfifo pipe; touch -- '-rf' $'new\\nline'`,
  )
  if (isRoot) await symlink(target, join(doomed.paths.workspace, 'from-the-host'))
  await doomed.destroy()
  await assert.rejects(readFile(join(doomed.paths.root, 'etc', 'passwd')), { code: 'ENOENT' })
  assert.equal(await readFile(join(target, 'keep'), 'utf8'), 'keep')
  assert.throws(() => doomed.spawn(['true'], { network: false }), /destroyed/)
  await doomed.destroy()
})

test('a directory that belongs to another slot is refused', { skip: !isRoot }, async () => {
  await bench.open(904, 'sesn_moved')
  await assert.rejects(bench.open(905, 'sesn_moved'), /had another slot/)
})

test('a directory that is not the session’s, and a slot out of range, are refused', async () => {
  const spec = { sessionId: 'sesn_a', slot: 906, limits: defaultLimits, env: {}, gitRewrite: [] }
  const directory = join(bench.dataDir, 'sessions', 'sesn_b')
  await assert.rejects(bench.driver.open({ ...spec, directory }), /not that of session/)
  await assert.rejects(bench.open(1000), /slot/)
})
