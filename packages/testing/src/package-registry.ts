import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { listen, sendJson, stop } from './loopback.ts'

/** A package to serve; a `package.json` is made where the files have none. */
export interface RegistryPackage {
  readonly name: string
  readonly version: string
  /** Contents by path. */
  readonly files: Readonly<Record<string, string>>
}

/** Where a package registry listens. */
export interface PackageRegistryOptions {
  /** 0: any free port. */
  readonly port?: number
  /**
   * An address of loopback. Clients that go through a proxy mostly reach 127.0.0.1 without it; on
   * Linux, all of 127.0.0.0/8 is loopback.
   */
  readonly host?: string
}

/** A request to a package registry, as it was seen. */
export interface RegistryRequest {
  /** Without the first slash: `@acme/left`, `@acme/left/-/left-1.2.3.tgz`. */
  readonly path: string
  /** The header's value, credentials and all. */
  readonly authorization: string | null
}

/** An npm registry on loopback that serves the given packages and nothing else. */
export interface PackageRegistry extends AsyncDisposable {
  /** For `npm_config_registry`. */
  readonly url: string
  /** Oldest first; the last 2 000. */
  readonly requests: readonly RegistryRequest[]
  close(): Promise<void>
}

const requestsMax = 2_000
const tarMs = 30_000

/** Packs the packages with the system's tar and starts serving them. */
export async function startPackageRegistry(
  packages: readonly RegistryPackage[],
  options: PackageRegistryOptions = {},
): Promise<PackageRegistry> {
  const packed = await Promise.all(packages.map(pack))
  const requests: RegistryRequest[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '/').slice(1)
    requests.push({ path, authorization: request.headers.authorization ?? null })
    if (requests.length > requestsMax) requests.shift()
    const tarball = packed.find(({ file }) => file === path)?.tarball
    const versions = packed.filter(({ manifest }) => manifest.name === path)
    if (tarball !== undefined) response.end(tarball)
    else if (versions.length > 0) sendJson(response, 200, packumentOf(versions, url))
    else sendJson(response, 404, { error: 'Not found' })
  })
  const url = await listen(server, options.port, options.host)
  const close = (): Promise<void> => stop(server)
  return { url, requests, close, [Symbol.asyncDispose]: close }
}

interface Packed {
  readonly manifest: { readonly name: string; readonly version: string }
  /** Where its tarball is served, without the first slash. */
  readonly file: string
  readonly tarball: Buffer
}

async function pack({ name, version, files }: RegistryPackage): Promise<Packed> {
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-package-'))
  try {
    const ownManifest = JSON.parse(files['package.json'] ?? '{}')
    const manifest = { ...ownManifest, name, version }
    const all = { ...files, 'package.json': `${JSON.stringify(manifest, null, 2)}\n` }
    for (const [path, text] of Object.entries(all)) {
      const target = join(directory, 'package', path)
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, text)
    }
    const archive = join(directory, 'package.tgz')
    await promisify(execFile)('tar', ['-czf', archive, '-C', directory, 'package'], {
      timeout: tarMs,
    })
    const file = `${name}/-/${name.replace(/^.*\//, '')}-${version}.tgz`
    return { manifest, file, tarball: await readFile(archive) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** What npm reads about a package; the version given last is the latest. */
function packumentOf(versions: readonly Packed[], url: string): object {
  const entries = versions.map(({ manifest, file, tarball }) => {
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
    return [manifest.version, { ...manifest, dist: { tarball: `${url}/${file}`, integrity } }]
  })
  const latest = versions.at(-1)?.manifest
  return {
    name: latest?.name,
    'dist-tags': { latest: latest?.version },
    versions: Object.fromEntries(entries),
  }
}
