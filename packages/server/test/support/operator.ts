import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type PackageRegistry, type RegistryPackage, startPackageRegistry } from '@longhaul/testing'
import { makeDirectory } from './postgres.ts'
import { secrets } from './world.ts'

/** An operator whose npm is configured for a registry of their own, with a token for it. */
export interface Operator extends AsyncDisposable {
  readonly registry: PackageRegistry
  /** What a server that this operator starts is told. */
  readonly settings: Readonly<Record<string, string>>
  /** The lock file that npm writes for these dependencies, as this operator. */
  lockOf(manifest: object): Promise<string>
}

/** npm inside a sandbox goes to 127.0.0.1 without the proxy, hence another address of loopback. */
const registryHost = '127.0.0.2'
const npmMs = 180_000

export async function startOperator(packages: readonly RegistryPackage[]): Promise<Operator> {
  await using stack = new AsyncDisposableStack()
  const { path: home } = stack.use(await makeDirectory())
  const registry = stack.use(await startPackageRegistry(packages, { host: registryHost }))
  const { host } = new URL(registry.url)
  const npmrc = `registry=${registry.url}/\n//${host}/:_authToken=${secrets.npm}\n`
  await writeFile(join(home, '.npmrc'), npmrc, { mode: 0o600 })
  const closing = stack.move()
  return {
    registry,
    settings: { HOME: home, GATEWAY_ALLOW_PRIVATE: host },
    async lockOf(manifest) {
      const cwd = join(home, 'app')
      await mkdir(cwd)
      await writeFile(join(cwd, 'package.json'), JSON.stringify(manifest))
      const { PATH = '' } = process.env
      const options = { cwd, env: { PATH, HOME: home }, timeout: npmMs }
      const words = ['install', '--package-lock-only', '--no-audit', '--no-fund']
      await promisify(execFile)('npm', words, options)
      return readFile(join(cwd, 'package-lock.json'), 'utf8')
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
