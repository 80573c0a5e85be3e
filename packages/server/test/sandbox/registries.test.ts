import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { createLog } from '../../src/log.ts'
import { detectRegistries } from '../../src/sandbox/registries.ts'
import { never } from './support.ts'

let path: string

before(() => {
  process.env['npm_config_registry'] = 'https://canary.example/'
})
after(() => {
  delete process.env['npm_config_registry']
})
beforeEach(async (context) => {
  path = await mkdtemp(join(tmpdir(), 'lh-tools-'))
  const made = path
  await symlink('/bin/sh', join(path, 'sh'))
  if ('after' in context) context.after(() => rm(made, { recursive: true }))
})

const tool = (name: string, script: string) =>
  writeFile(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
const detect = (signal = never) =>
  detectRegistries({ path, home: '/home/of-the-operator', log: createLog('silent'), signal })
const names = (hosts: readonly { host: string; port: number }[]) =>
  hosts.map(({ host, port }) => `${host}:${port}`)

test('what npm, pip and go are configured for is found, without its credentials', async () => {
  await tool(
    'npm',
    '[ "$*" = "config get registry" ] && echo "https://me:s3cret@npm.example:8443/r/?t=s3cret"',
  )
  await tool(
    'python3',
    `echo "global.index-url='https://me:s3cret@pip.example/simple'
global.extra-index-url='file:///opt/x http://extra.example/simple'
global.timeout='5'"`,
  )
  await tool('go', 'echo "https://me:s3cret@go.example,direct"; echo "sum.example"')
  const { hosts, env } = await detect()
  assert.deepEqual(names(hosts), [
    'npm.example:8443',
    'pip.example:443',
    'extra.example:80',
    'go.example:443',
    'sum.example:443',
  ])
  assert.equal(env['npm_config_registry'], 'https://npm.example:8443/r/')
  assert.equal(env['PIP_INDEX_URL'], 'https://pip.example/simple')
  assert.equal(env['PIP_EXTRA_INDEX_URL'], 'http://extra.example/simple')
  assert.equal(env['GOPROXY'], 'https://go.example,direct')
  assert.equal(env['GOSUMDB'], 'sum.example')
  assert.ok(!JSON.stringify({ hosts, env }).includes('s3cret'))
})

test('an unconfigured pip names its default index and where the files of it are', async () => {
  await tool(
    'python3',
    '[ "$1" = -c ] && echo "https://default.example/simple" && echo "https://files.example"; true',
  )
  const { hosts, env } = await detect()
  assert.deepEqual(names(hosts), ['default.example:443', 'files.example:443'])
  assert.equal(env['PIP_INDEX_URL'], undefined)
})

test('tools that are missing or fail have no registry', async () => {
  await tool('npm', 'echo broken >&2; exit 3')
  const { hosts } = await detect()
  assert.deepEqual(hosts, [])
})

test('the tools see the PATH and HOME of the operator and nothing else of the server', async () => {
  await tool('npm', 'echo "https://npm.example/none$npm_config_registry$HOME"')
  const { env } = await detect()
  assert.equal(env['npm_config_registry'], 'https://npm.example/none/home/of-the-operator')
})

test('an abort rejects with the reason', async () => {
  await assert.rejects(detect(AbortSignal.abort(new Error('stop'))), /stop/)
})
