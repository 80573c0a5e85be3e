import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { From } from './schema.ts'

type Env = Readonly<Record<string, string | undefined>>

/** A key of 16 384 bits takes half of this. */
const valueBytesMax = 32 * 1024
const keyBitsMin = 2048
/** Bundles of a whole system take a quarter of this. */
const certificatesBytesMax = 1024 * 1024

/** The value, or the words for what was expected and what came; never the value itself. */
type Read<T> =
  | { readonly value: T }
  | { readonly path: readonly string[]; readonly expected: string; readonly came: string }

/** A secret of one line; the line end of a file is none of it. */
export function readSecret(from: From, env: Env): Read<string> {
  const found = read(from, env)
  if ('expected' in found) return found
  const value = found.value.trimEnd()
  if (/^[\x21-\x7e]{8,4096}$/.test(value)) return { value }
  const came = `a text of ${value.length} characters`
  const expected = 'expected 8 to 4096 printable characters without spaces'
  return { path: pathOf(from), expected, came }
}

/** The private key of a GitHub App. In a variable its line ends may be written `\n`. */
export function readPrivateKey(from: From, env: Env): Read<KeyObject> {
  const found = read(from, env)
  if ('expected' in found) return found
  const expected = `expected an RSA private key of ${keyBitsMin} bits or more, as PEM`
  const pem = found.value.replaceAll('\\n', '\n')
  const wrong = (came: string) => ({ path: pathOf(from), expected, came })
  try {
    const value = createPrivateKey(pem)
    const bits = value.asymmetricKeyDetails?.modulusLength ?? 0
    const type = value.asymmetricKeyType ?? 'another'
    if (type !== 'rsa') return wrong(`a key of type ${type}`)
    return bits >= keyBitsMin ? { value } : wrong(`one of ${bits} bits`)
  } catch {
    // What OpenSSL says of it helps nobody: it is no such key.
    return wrong(`a text of ${pem.length} characters`)
  }
}

/** Certificates of authorities, as PEM, in a file. They are no secret. */
export function readCertificates(file: string): Read<string> {
  const found = readFile(file, certificatesBytesMax)
  if ('expected' in found) return found
  const all = found.value.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? []
  const expected = 'expected certificates, as PEM'
  if (all.length === 0) return { path: [], expected, came: `a file without any (${file})` }
  try {
    return { value: all.map((each) => new X509Certificate(each).toString()).join('') }
  } catch {
    // What OpenSSL says of it helps nobody: it is no such certificate.
    return { path: [], expected, came: `a file with one that is none (${file})` }
  }
}

function read(from: From, env: Env): Read<string> {
  const path = pathOf(from)
  if ('env' in from) {
    const value = env[from.env] ?? ''
    const expected = 'expected a variable that is set'
    return value === '' ? { path, expected, came: from.env } : { value }
  }
  const found = readFile(from.file, valueBytesMax)
  return 'value' in found ? found : { ...found, path }
}

function readFile(file: string, bytesMax: number): Read<string> {
  const expected = `expected a file of at most ${bytesMax} bytes`
  try {
    const { size } = statSync(file)
    if (size > bytesMax) return { path: [], expected, came: `one of ${size} bytes` }
    return { value: readFileSync(file, 'utf8') }
  } catch (error) {
    const { code = 'one that cannot be read' } = error as NodeJS.ErrnoException
    return { path: [], expected, came: `${file} (${code})` }
  }
}

function pathOf(from: From): string[] {
  return ['env' in from ? 'env' : 'file']
}
