/** The package registry with its real client, npm. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { startPackageRegistry } from '../src/index.ts'

const work = await mkdtemp(join(tmpdir(), 'longhaul-npm-'))
after(() => rm(work, { recursive: true, force: true }))

test('npm installs from the registry, and again from the lock file', async () => {
  const left = {
    name: '@acme/left',
    version: '1.2.3',
    files: { 'index.js': "exports.side = 'left'\n" },
  }
  const manifest = JSON.stringify({ dependencies: { '@acme/left': '^1.0.0' } })
  const files = { 'package.json': manifest, 'lib/index.js': "exports.it = require('@acme/left')\n" }
  await using registry = await startPackageRegistry([
    { ...left, version: '1.0.0' },
    left,
    { name: 'both', version: '2.0.0', files },
  ])
  const { PATH = '' } = process.env
  const npm = (...args: string[]) =>
    promisify(execFile)('npm', [...args, '--no-audit', '--no-fund'], {
      cwd: work,
      env: { PATH, HOME: work, npm_config_registry: registry.url },
      timeout: 110_000,
    })
  await writeFile(join(work, 'package.json'), '{"name":"app","version":"1.0.0","private":true}\n')
  await npm('install', 'both@2')
  const installed = join(work, 'node_modules', '@acme', 'left')
  assert.equal(JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')).version, '1.2.3')
  assert.ok(registry.requests.some(({ path }) => path === '@acme/left/-/left-1.2.3.tgz'))

  await rm(join(work, 'node_modules'), { recursive: true })
  await npm('ci')
  assert.equal(await readFile(join(installed, 'index.js'), 'utf8'), left.files['index.js'])
  await assert.rejects(npm('install', 'missing'), /E404/)
})

test('it listens on whichever address of loopback it is told, and on no other', async () => {
  const left = { name: 'left', version: '1.0.0', files: {} }
  await using registry = await startPackageRegistry([left], { host: '127.0.0.2' })
  const headers = { authorization: 'Bearer a-token' }
  const packument = await (await fetch(`${registry.url}/left`, { headers })).text()
  assert.match(packument, /"tarball":"http:\/\/127\.0\.0\.2:/)
  assert.deepEqual(registry.requests, [{ path: 'left', ...headers }])
  await assert.rejects(startPackageRegistry([], { host: '0.0.0.0' }), /not an address of loopback/)
})
