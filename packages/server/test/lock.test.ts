import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'

const root = join(import.meta.dirname, '../../..')
const names = z.record(z.string(), z.string()).default({})
const manifest = z.object({
  dependencies: names,
  devDependencies: names,
  optionalDependencies: names,
})
const lock = z
  .object({
    packages: z.record(
      z.string(),
      z.object({ optionalDependencies: names, resolved: z.string().optional() }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))

/** npm exits 0 when a platform's package is missing from the registry, and `npm ci` fails later. */
test('every optional dependency that the lock names has an entry of its own', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !isLocked(path, name))
      .map((name) => `${path} → ${name}`),
  )
  assert.deepEqual(missing, [])
  assert.ok(Object.keys(lock.packages).length > 100)
})

test('the lock names no registry, so that it installs from whichever one a host uses', () => {
  const addressed = Object.values(lock.packages).flatMap(({ resolved = '' }) =>
    /^[a-z+]+:/.test(resolved) ? [resolved] : [],
  )
  assert.deepEqual(addressed, [])
})

test('every dependency is pinned to one version', () => {
  for (const path of ['package.json', ...['client', 'server', 'testing'].map(packagePath)]) {
    const all = manifest.parse(JSON.parse(readFileSync(join(root, path), 'utf8')))
    const loose = Object.values(all)
      .flatMap((group) => Object.entries(group))
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    assert.deepEqual(loose, [], path)
  }
})

function packagePath(name: string): string {
  return `packages/${name}/package.json`
}

/** Beside the package that wants it, or in any node_modules above. */
function isLocked(path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('node_modules/')).replace(/\/$/, '')) {
    if (lock.packages[at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`])
      return true
    if (!at.includes('node_modules/')) return lock.packages[`node_modules/${name}`] !== undefined
  }
}
