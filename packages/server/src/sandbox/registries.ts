import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Log } from '../log.ts'
import { answerBytesMax, askMs } from './limits.ts'

/** Package registries this host is configured for, without their credentials. */
interface Registries {
  /** Lower case, without duplicates. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  /** The same configuration as variables for the package managers inside. */
  readonly env: Readonly<Record<string, string>>
}

/**
 * Asks npm, pip and go themselves, each within 10 s and at once; they read the operator's files,
 * so they are given PATH and HOME and nothing else. A tool that is not there has no registry; one
 * that fails is a warning. Rejects only when the signal aborts.
 */
export async function detectRegistries(o: {
  readonly path: string
  readonly home: string
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<Registries> {
  const ask: Ask = async (file, ...args) => {
    try {
      return await answerOf({ file, args, ...o })
    } catch (error) {
      o.signal.throwIfAborted()
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      // The error's message holds the tool's output, which may name a URL with its password.
      if (!missing) o.log.warn({ tool: file }, 'the tool did not say which registry it uses')
      return ''
    }
  }
  const found = await Promise.all([npmRegistry(ask), pipRegistry(ask), goRegistry(ask), system()])
  return {
    hosts: distinct(found.flatMap(({ urls }) => urls)),
    env: Object.assign({}, ...found.map(({ env }) => env)),
  }
}

type Ask = (file: string, ...args: string[]) => Promise<string>

interface Found {
  readonly urls: readonly URL[]
  readonly env: Readonly<Record<string, string>>
}

async function npmRegistry(ask: Ask): Promise<Found> {
  const url = publicUrl(await ask('npm', 'config', 'get', 'registry'))
  return url === null ? nothing : { urls: [url], env: { npm_config_registry: url.href } }
}

/**
 * pip's default index serves its files from another host; pip's own module knows both. A mirror
 * that is configured instead serves both itself.
 */
async function pipRegistry(ask: Ask): Promise<Found> {
  const settings = pipSettings(await ask('python3', '-m', 'pip', 'config', 'list'))
  const urlsOf = (name: string): URL[] =>
    (settings[name] ?? '').split(/\s+/).flatMap((text) => publicUrl(text) ?? [])
  const [index] = urlsOf('index-url')
  const extra = urlsOf('extra-index-url')
  const defaults = index === undefined ? await pipDefaults(ask) : []
  return {
    urls: [...(index === undefined ? defaults : [index]), ...extra],
    env: {
      ...(index === undefined ? {} : { PIP_INDEX_URL: index.href }),
      ...(extra.length === 0
        ? {}
        : { PIP_EXTRA_INDEX_URL: extra.map(({ href }) => href).join(' ') }),
    },
  }
}

async function pipDefaults(ask: Ask): Promise<URL[]> {
  const program =
    'from pip._internal.models.index import PyPI; print(PyPI.simple_url); print("https://" + PyPI.file_storage_domain)'
  const lines = (await ask('python3', '-c', program)).split('\n')
  return lines.flatMap((line) => publicUrl(line) ?? [])
}

/** `global.index-url='https://…'`, one a line; the narrower section comes later and wins. */
function pipSettings(list: string): Record<string, string> {
  const lines = [...list.matchAll(/^(?:global|install|:env:)\.([a-z-]+)='(.*)'$/gm)]
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value]))
}

async function goRegistry(ask: Ask): Promise<Found> {
  const [proxies = '', sums = ''] = (await ask('go', 'env', 'GOPROXY', 'GOSUMDB')).split('\n')
  const parts = proxies.split(/([,|])/)
  const kept = parts.map((part) => publicUrl(part)?.href.replace(/\/$/, '') ?? part)
  const [sumName = '', sumUrl = ''] = sums.trim().split(' ')
  const sumHost = sumName === '' || sumName === 'off' ? '' : `https://${sumName.split('+')[0]}`
  const urls = [...parts, sumUrl === '' ? sumHost : sumUrl]
  return {
    urls: urls.flatMap((text) => publicUrl(text) ?? []),
    env: proxies === '' ? {} : { GOPROXY: kept.join(''), GOSUMDB: sums.trim() },
  }
}

/** Certificates that the operator added are in the system's bundle; node and pip bring their own. */
async function system(): Promise<Found> {
  for (const bundle of ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt']) {
    const there = await access(bundle).then(
      () => true,
      () => false,
    )
    if (there)
      return {
        urls: [],
        env: {
          NODE_EXTRA_CA_CERTS: bundle,
          PIP_CERT: bundle,
          REQUESTS_CA_BUNDLE: bundle,
          SSL_CERT_FILE: bundle,
          npm_config_cafile: bundle,
        },
      }
  }
  return nothing
}

const nothing: Found = { urls: [], env: {} }

/** The URL without credentials; null for what cannot be reached over http, as a local directory. */
function publicUrl(text: string): URL | null {
  const url = URL.parse(text.trim())
  if (url === null || !/^https?:$/.test(url.protocol)) return null
  url.username = ''
  url.password = ''
  url.search = ''
  url.hash = ''
  return url
}

function distinct(urls: readonly URL[]): { host: string; port: number }[] {
  const hosts = urls.map((url) => ({
    host: url.hostname,
    port: Number(url.port) || (url.protocol === 'http:' ? 80 : 443),
  }))
  return [...new Map(hosts.map((entry) => [`${entry.host}:${entry.port}`, entry])).values()]
}

async function answerOf(o: {
  readonly file: string
  readonly args: readonly string[]
  readonly path: string
  readonly home: string
  readonly signal: AbortSignal
}): Promise<string> {
  const { stdout } = await promisify(execFile)(o.file, [...o.args], {
    cwd: '/',
    env: { PATH: o.path, HOME: o.home },
    timeout: askMs,
    killSignal: 'SIGKILL',
    maxBuffer: answerBytesMax,
    signal: o.signal,
  })
  return stdout
}
