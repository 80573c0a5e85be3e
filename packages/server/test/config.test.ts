import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '../src/config.ts'

test('repositories that agents may read are owner/name or owner/*, and nothing wider', () => {
  const allowed = (GIT_READ_ALLOW: string) => loadConfig({ GIT_READ_ALLOW }).gitReadAllow
  assert.deepEqual(loadConfig({}).gitReadAllow, [])
  assert.deepEqual(allowed('acme/lib, acme/app.git ,docs/*, group/sub/name'), [
    '/acme/lib',
    '/acme/app',
    '/docs/*',
    '/group/sub/name',
  ])
  for (const wrong of ['*', '*/*', 'acme', 'acme/', '/acme/lib', 'acme/../x', 'acme/l*', 'a/b c'])
    assert.throws(() => allowed(wrong), /GIT_READ_ALLOW is not valid: expected owner\/name/, wrong)
})

test('an engine is a socket or an address, and images to build from have one spelling', () => {
  assert.equal(loadConfig({ DOCKER_BASE_IMAGES: 'node:24' }).docker, null)
  const images = 'docker.io/library/node:24-slim, ghcr.io/acme/base'
  const { docker } = loadConfig({
    DOCKER_ENGINE: 'unix:///run/docker.sock',
    DOCKER_BASE_IMAGES: images,
  })
  assert.deepEqual(docker?.engine, { socketPath: '/run/docker.sock' })
  assert.deepEqual(docker?.baseImages, ['node:24-slim', 'ghcr.io/acme/base:latest'])
  for (const engine of [
    ...['unix://docker.sock', '/run/docker.sock', 'tcp://localhost:2375', 'https://localhost'],
    ...['http://localhost:2375/v1', 'http://user:word@localhost:2375', 'docker'],
  ])
    assert.throws(
      () => loadConfig({ DOCKER_ENGINE: engine }),
      /^Error: The setting DOCKER_ENGINE is not valid: expected unix:\/\/\/path or http:\/\/host:port\.$/,
      engine,
    )
  for (const image of ['Node', 'node:', '$BASE', '--privileged'])
    assert.throws(() => loadConfig({ DOCKER_BASE_IMAGES: `node:24,${image}` }), /expected an image/)
})

test('callbacks are signed by two secrets at most, of which no refusal tells anything', () => {
  const [first, second] = [7, 8].map((byte) => `whsec_${Buffer.alloc(32, byte).toString('base64')}`)
  const read = (CALLBACK_SECRET: string) => loadConfig({ CALLBACK_SECRET }).callbackSecrets
  assert.deepEqual(loadConfig({}).callbackSecrets, [])
  assert.deepEqual(read(`${second}, ${first}`), [second, first])
  assert.throws(() => read(`${first},${second},${first}`), /expected at most 2/)
  const refusal =
    /^Error: The setting CALLBACK_SECRET is not valid: expected `whsec_` and base64\.$/
  for (const wrong of ['hunter2', `${first},hunter2`, `${first} ${second}`])
    assert.throws(() => read(wrong), refusal)
})
