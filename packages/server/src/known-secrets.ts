import type { Config } from './config.ts'
import type { GitCredential } from './credentials-file/credentials.ts'

/** A shorter one would be found everywhere, and texts would be destroyed. */
const knownSecretBytesMin = 12

/**
 * What the settings keep secret and nothing that the server stores, says or sends to people may
 * have: each word of 12 bytes or more. Tokens that are made later are learnt when they are made.
 */
export function knownSecrets(config: Config): string[] {
  const { model, github, databaseUrl, tools, secrets } = config
  const { entries, fallback } = github.credentials
  return [
    ...Object.values(model.headers ?? {}).map((value) => value.replace(/^Bearer /, '')),
    ...[fallback, ...entries.map(({ credential }) => credential)].flatMap(valuesOf),
    ...(databaseUrl === null ? [] : passwordsIn(databaseUrl)),
    ...tools.flatMap((tool) => {
      if (tool.kind === 'http') return tool.secrets
      return tool.kind === 'mcp' && tool.at.where === 'remote' ? tool.at.secrets : []
    }),
    ...secrets.map(({ value }) => value),
    ...(config.apiKey === null ? [] : [config.apiKey]),
  ]
    .flatMap(secretWords)
    .concat(config.callbackSecrets.flatMap(signingWords))
}

/** Of a value: a private key has many lines, and a password may have spaces. */
function secretWords(value: string): string[] {
  return value.split(/[^\x21-\x7e]+/).filter(({ length }) => length >= knownSecretBytesMin)
}

/**
 * Of what signs webhooks, `whsec_…` as Standard Webhooks writes it: without that prefix, which many
 * leave away, and the key that it spells, for people choose words for one.
 */
export function signingWords(secret: string): string[] {
  const written = secret.replace(/^whsec_/, '')
  return [written, Buffer.from(written, 'base64').toString('latin1')].flatMap(secretWords)
}

function valuesOf(credential: GitCredential): string[] {
  switch (credential.kind) {
    case 'none':
      return []
    case 'token':
      return [credential.token]
    case 'app':
      // Both forms in which it is usually kept: GitHub gives PKCS #1.
      return (['pkcs1', 'pkcs8'] as const)
        .map((type) => String(credential.privateKey.export({ type, format: 'pem' })))
        .map((pem) => pem.replaceAll(/-----[A-Z ]+-----/g, ''))
  }
}

function passwordsIn(databaseUrl: string): string[] {
  const { password, searchParams } = new URL(databaseUrl)
  const decoded = new URLSearchParams(`password=${password.replaceAll('+', '%2B')}`)
  return [password, ...decoded.getAll('password'), ...searchParams.getAll('password')]
}
