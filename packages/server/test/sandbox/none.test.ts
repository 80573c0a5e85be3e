import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { identify } from '../../src/sandbox/process-table.ts'
import { type Bench, never, openBench, sh, until } from './support.ts'

let bench: Bench
let sandbox: Sandbox

before(async () => {
  process.env['LONGHAUL_TEST_CANARY'] = 'canary'
  bench = await openBench({ kind: 'none' })
  sandbox = await bench.open(931)
})
after(async () => {
  delete process.env['LONGHAUL_TEST_CANARY']
  await bench[Symbol.asyncDispose]()
})

test('the driver without walls says so', async () => {
  const report = await bench.driver.probe(never)
  assert.equal(report.driver, 'none')
  assert.ok(!Object.values(report.isolates).includes(true))
  assert.match(report.gaps[0]?.what ?? '', /WITHOUT any walls/)
})

test('its environment is from scratch all the same', async () => {
  const { stdout } = await sh(sandbox, 'env; pwd; git config --system user.name')
  assert.doesNotMatch(stdout, /canary/)
  assert.match(stdout, new RegExp(`^HOME=${sandbox.paths.home}$`, 'm'))
  assert.match(stdout, new RegExp(`\n${sandbox.paths.workspace}\nLonghaul\n$`))
  if (process.getuid?.() === 0) assert.match(stdout, /^IS_SANDBOX=1$/m)
})

test('a loopback port leads to the gateway', async () => {
  const gateway = createServer((_request, response) => response.end('from the gateway'))
  gateway.listen(sandbox.paths.gatewaySocket)
  await once(gateway, 'listening')
  const { host, port } = new URL(sandbox.gatewayUrl)
  const get = `exec 3<>/dev/tcp/127.0.0.1/${port}; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3; echo; echo $http_proxy`
  const { stdout } = await sh(sandbox, get, { network: true })
  assert.match(stdout, new RegExp(`from the gateway\nhttp://${host}\n$`))
  gateway.close()
})

test('exit codes, timeouts and bounds are those of the real walls', async () => {
  assert.equal((await sh(sandbox, 'exit 7')).exitCode, 7)
  assert.equal((await sh(sandbox, 'no-such-command')).exitCode, 127)
  const result = await sh(sandbox, 'echo on; sleep 300', { timeoutMs: 300 })
  assert.equal(result.timedOut, true)
  assert.equal(result.exitCode, null)
  assert.equal((await sh(sandbox, 'sleep 300 & echo done')).stdout, 'done\n')
})

test('killAll ends the group and what left it', {
  skip: process.platform !== 'linux',
}, async () => {
  const script = 'setsid bash -c "echo \\$\\$; sleep 300" & sleep 300'
  const child = sandbox.spawn(['bash', '-c', script], { network: true })
  const [line] = await once(child.stdout, 'data')
  const daemon = Number(String(line))
  assert.notEqual(identify(daemon), null)
  await sandbox.killAll()
  await until(() => identify(daemon) === null)
  assert.equal(child.signalCode, 'SIGKILL')
})

test('destroy removes the tree and not what its links point to', async () => {
  const target = join(bench.dataDir, 'target')
  await writeFile(target, 'keep')
  await sh(sandbox, `ln -s ${target} link; mkdir -p a/b; touch a/b/c`)
  await sandbox.destroy()
  await assert.rejects(readFile(join(sandbox.paths.root, 'etc', 'init')), { code: 'ENOENT' })
  assert.equal(await readFile(target, 'utf8'), 'keep')
})
