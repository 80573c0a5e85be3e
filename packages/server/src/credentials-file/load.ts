import { resolve } from 'node:path'
import { type Mistake, mistakesOf } from '../json-file/mistakes.ts'
import { readJson, refusedFile } from '../json-file/read.ts'
import {
  type BoundSecret,
  type GitCredential,
  type GitEntry,
  secretMethods,
} from './credentials.ts'
import { credentialsFile, type GitDeclaration, type SecretDeclaration } from './schema.ts'
import { readCertificates, readPrivateKey, readSecret } from './value.ts'

const setting = 'CREDENTIALS_FILE'

/** What the operator gave. */
export interface Credentials {
  readonly git: {
    readonly entries: readonly GitEntry[]
    /** For repositories that have no entry. */
    readonly fallback: GitCredential
  }
  readonly secrets: readonly BoundSecret[]
}

/** Reads what the settings name. Throws an Error whose sentences name each mistake. */
export function readCredentials(
  settings: {
    readonly CREDENTIALS_FILE?: string | undefined
    readonly GITHUB_TOKEN?: string | undefined
    readonly GITHUB_APP_ID?: string | undefined
    readonly GITHUB_APP_PRIVATE_KEY_FILE?: string | undefined
  },
  env: Env,
): Credentials {
  const { CREDENTIALS_FILE: path } = settings
  const none = { git: [], secrets: [] }
  const { git, secrets } = path === undefined ? none : readFile({ path: resolve(path), env })
  return { git: { entries: git, fallback: fallbackOf(settings) }, secrets }
}

function fallbackOf(settings: Parameters<typeof readCredentials>[0]): GitCredential {
  const { GITHUB_TOKEN: token, GITHUB_APP_ID: id, GITHUB_APP_PRIVATE_KEY_FILE: path } = settings
  if (token !== undefined) return { kind: 'token', token }
  if (id === undefined || path === undefined) return { kind: 'none' }
  const read = readPrivateKey({ file: resolve(path) }, {})
  if ('value' in read) return { kind: 'app', id, installationId: null, privateKey: read.value }
  throw new Error(
    `The setting GITHUB_APP_PRIVATE_KEY_FILE is not valid: ${read.expected}, came ${read.came}.`,
  )
}

type Env = Readonly<Record<string, string | undefined>>

/** Names every mistake in the file, a sentence each, with its place; no value is ever repeated. */
function readFile({ path, env }: { readonly path: string; readonly env: Env }) {
  const file = readJson(setting, path)
  const parsed = credentialsFile.safeParse(file)
  if (!parsed.success)
    throw refusedFile({ setting, path, file, mistakes: mistakesOf(parsed.error) })
  const mistakes: Mistake[] = []
  const git = parsed.data.git.flatMap((given, index) => {
    const read = gitEntry(given, env)
    if (!Array.isArray(read)) return [read]
    mistakes.push(...read.map((each) => ({ ...each, path: ['git', index, ...each.path] })))
    return []
  })
  mistakes.push(...repeated(parsed.data.git))
  const secrets = Object.entries(parsed.data.secrets).flatMap(([name, given]) => {
    const read = boundSecret(name, given, env)
    if (!Array.isArray(read)) return [read]
    mistakes.push(...read.map((each) => ({ ...each, path: ['secrets', name, ...each.path] })))
    return []
  })
  if (mistakes.length > 0) throw refusedFile({ setting, path, file, mistakes })
  return { git, secrets }
}

/** The entry, or what is wrong with it. */
function gitEntry(given: GitDeclaration, env: Env): GitEntry | Mistake[] {
  const kinds = (['token', 'app', 'none'] as const).filter((kind) => given[kind] !== undefined)
  if (kinds.length !== 1) {
    const came = kinds.length === 0 ? 'nothing of them' : kinds.join(' and ')
    return [{ path: [], expected: 'expected one of token, app and none', came }]
  }
  const credential = credentialOf(given, env)
  return Array.isArray(credential) ? credential : { match: given.match, credential }
}

function credentialOf({ token, app }: GitDeclaration, env: Env): GitCredential | Mistake[] {
  if (token !== undefined) {
    const read = readSecret(token, env)
    if ('value' in read) return { kind: 'token', token: read.value }
    return [{ ...read, path: ['token', ...read.path] }]
  }
  if (app === undefined) return { kind: 'none' }
  const read = readPrivateKey(app.private_key, env)
  if (!('value' in read)) return [{ ...read, path: ['app', 'private_key', ...read.path] }]
  const { id, installation_id: installationId = null } = app
  return { kind: 'app', id, installationId, privateKey: read.value }
}

function repeated(entries: readonly GitDeclaration[]): Mistake[] {
  const names = entries.map(({ match }) => match)
  const expected = 'expected a match that no other entry has'
  return names.flatMap((name, index) =>
    names.indexOf(name) === index ? [] : [{ path: ['git', index, 'match'], expected }],
  )
}

/** The secret, or what is wrong with it. */
function boundSecret(name: string, given: SecretDeclaration, env: Env): BoundSecret | Mistake[] {
  const { host, ca: certificates, value, ...rest } = given
  const read = readSecret(value, env)
  const ca = certificates === undefined ? { value: null } : readCertificates(certificates)
  if ('value' in read && 'value' in ca)
    return {
      ...{ name, ...rest, ...host, value: read.value, ca: ca.value },
      methods: given.methods ?? secretMethods,
      paths: given.paths ?? ['/'],
    }
  return [
    ...('value' in read ? [] : [{ ...read, path: ['value', ...read.path] }]),
    ...('value' in ca ? [] : [{ ...ca, path: ['ca', ...ca.path] }]),
  ]
}
