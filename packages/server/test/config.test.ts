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
