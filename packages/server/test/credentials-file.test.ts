/** The file of credentials: each mistake has its sentence with its place, and no value is repeated. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfig } from '../src/config.ts'
import { pathsOf } from '../src/sandbox/directories.ts'
import { environmentInside } from '../src/sandbox/environment.ts'
import { authority } from './support/tls.ts'

const directory = mkdtempSync(join(tmpdir(), 'longhaul-credentials-'))
after(() => rmSync(directory, { recursive: true }))

const pemOf = (bits: number) =>
  generateKeyPairSync('rsa', { modulusLength: bits })
    .privateKey.export({ type: 'pkcs1', format: 'pem' })
    .toString()
const keyFile = fileOf('key.pem', pemOf(2048))
const curve = generateKeyPairSync('ed25519').privateKey
const curveFile = fileOf('curve.pem', curve.export({ type: 'pkcs8', format: 'pem' }).toString())
const canary = 'canary-of-the-credentials'
const env = { TOKEN: canary, SHORT: 'abc', SPACED: `${canary} x` }

function fileOf(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

function read(content: unknown, settings: Readonly<Record<string, string>> = {}) {
  const path = fileOf('credentials.json', JSON.stringify(content))
  return loadConfig({ ...env, ...settings, CREDENTIALS_FILE: path })
}

function refusal(content: unknown): string[] {
  try {
    read(content)
  } catch (error) {
    assert.ok(error instanceof Error)
    assert.ok(!error.message.includes(canary))
    return error.message.split('\n').map((line) => line.trim())
  }
  assert.fail(`accepted: ${JSON.stringify(content)}`)
}

const token = { env: 'TOKEN' }
const app = { id: 12, private_key: { file: keyFile } }

/** One entry that is wrong, and the sentence for it after its place. */
const mistakes: readonly (readonly [object, string])[] = [
  [{ match: 'acme', token }, '.match: expected owner/name or owner/*, came "acme".'],
  [{ match: '*/*', token }, '.match: expected owner/name or owner/*, came "*/*".'],
  [{ match: 'acme/..', token }, '.match: expected owner/name or owner/*, came "acme/..".'],
  [{ match: 'a/b/c', token }, '.match: expected owner/name or owner/*, came "a/b/c".'],
  [{ match: 'a/b' }, ': expected one of token, app and none, came nothing of them.'],
  [
    { match: 'a/b', token, none: true },
    ': expected one of token, app and none, came token and none.',
  ],
  [{ match: 'a/b', token, colour: 1 }, '.colour: expected no field of this name, came 1.'],
  [
    { match: 'a/b', token: canary },
    '.token: expected {"env": "NAME"} or {"file": "/absolute/path"}, came a text of 25 characters.',
  ],
  [
    { match: 'a/b', token: { file: 'beside' } },
    '.token.file: expected an absolute path, came a text of 6 characters.',
  ],
  [
    { match: 'a/b', token: { env: 'UNSET' } },
    '.token.env: expected a variable that is set, came UNSET.',
  ],
  [
    { match: 'a/b', token: { file: '/nonexistent/token' } },
    '.token.file: expected a file of at most 32768 bytes, came /nonexistent/token (ENOENT).',
  ],
  [
    { match: 'a/b', token: { env: 'SHORT' } },
    '.token.env: expected 8 to 4096 printable characters without spaces, came a text of 3 characters.',
  ],
  [
    { match: 'a/b', token: { env: 'SPACED' } },
    '.token.env: expected 8 to 4096 printable characters without spaces, came a text of 27 characters.',
  ],
  [
    { match: 'a/b', app: { ...app, private_key: { env: 'TOKEN' } } },
    '.app.private_key.env: expected an RSA private key of 2048 bits or more, as PEM, came a text of 25 characters.',
  ],
  [
    { match: 'a/b', app: { ...app, private_key: { file: fileOf('small.pem', pemOf(1024)) } } },
    '.app.private_key.file: expected an RSA private key of 2048 bits or more, as PEM, came one of 1024 bits.',
  ],
  [
    { match: 'a/b', app: { ...app, private_key: { file: curveFile } } },
    '.app.private_key.file: expected an RSA private key of 2048 bits or more, as PEM, came a key of type ed25519.',
  ],
  [
    { match: 'a/b', app: { ...app, id: 'a b' } },
    '.app.id: expected the id of the app, or its client id, came "a b".',
  ],
]
for (const [wrong, sentence] of mistakes) {
  test(`the file is refused for: ${sentence}`, () => {
    const [heading, ...sentences] = refusal({ git: [{ match: 'x/*', token }, wrong] })
    assert.deepEqual(sentences, [`git[1]${sentence}`])
    assert.match(heading ?? '', /^CREDENTIALS_FILE .*credentials\.json has 1 mistake:$/)
  })
}

test('a match that comes twice is a mistake, however it is spelled', () => {
  const [, ...sentences] = refusal({
    git: [
      { match: 'Acme/App', token },
      { match: 'acme/app', none: true },
    ],
  })
  assert.deepEqual(sentences, [
    'git[1].match: expected a match that no other entry has, came "acme/app".',
  ])
})

test('values come from variables and files, and a private key may be one line of a variable', () => {
  const tokenFile = fileOf('token', `${canary}\n`)
  const PEM = pemOf(2048).replaceAll('\n', '\\n')
  const { entries } = read(
    {
      git: [
        { match: 'Acme/App', token: { file: tokenFile } },
        { match: 'acme/*', app },
        { match: 'docs/*', app: { ...app, installation_id: 7, private_key: { env: 'PEM' } } },
        { match: 'open/*', none: true },
      ],
    },
    { PEM },
  ).github.credentials
  assert.deepEqual(entries[0], { match: 'acme/app', credential: { kind: 'token', token: canary } })
  assert.deepEqual(
    entries.slice(1).map(({ match, credential }) => [match, credential.kind]),
    [
      ['acme/*', 'app'],
      ['docs/*', 'app'],
      ['open/*', 'none'],
    ],
  )
})

test('the default is a token, an app with its key, or nothing; half an app and both are refused', () => {
  const both = { GITHUB_APP_ID: '12', GITHUB_APP_PRIVATE_KEY_FILE: keyFile }
  const fallback = (settings: Record<string, string>) =>
    loadConfig(settings).github.credentials.fallback.kind
  assert.equal(fallback({}), 'none')
  assert.equal(fallback({ GITHUB_TOKEN: canary }), 'token')
  assert.equal(fallback(both), 'app')
  assert.throws(() => fallback({ GITHUB_APP_ID: '12' }), /GITHUB_APP_ID is not valid: give both/)
  assert.throws(() => fallback({ ...both, GITHUB_TOKEN: canary }), /give one of GITHUB_TOKEN/)
  assert.throws(
    () => fallback({ ...both, GITHUB_APP_PRIVATE_KEY_FILE: curveFile }),
    /GITHUB_APP_PRIVATE_KEY_FILE is not valid: expected an RSA private key .*, came a key of type ed25519/,
  )
})

const rule = { host: 'api.example.com', value: { env: 'TOKEN' }, repositories: ['acme/*'] }

/** A secret that is wrong, and the sentence for it after its place. */
const wrongSecrets: readonly (readonly [Record<string, object>, string])[] = [
  [{ stripe: rule }, '.stripe: expected a name in capitals, such as STRIPE, came an object.'],
  [
    { ANTHROPIC_BASE: rule },
    '.ANTHROPIC_BASE: expected a name whose _URL is no variable of the sandbox, came an object.',
  ],
  [
    { A: { ...rule, host: 'https://api.example.com' } },
    '.A.host: expected host or host:port, such as api.example.com, came "https://api.example.com".',
  ],
  [
    { A: { ...rule, host: 'api.example.com:70000' } },
    '.A.host: expected host or host:port, such as api.example.com, came "api.example.com:70000".',
  ],
  [
    { A: { ...rule, header: 'Host' } },
    '.A.header: expected a header that is not the server\'s, came "Host".',
  ],
  [
    { A: { ...rule, prefix: `${canary}\n` } },
    '.A.prefix: expected at most 64 printable characters, came a text of 26 characters.',
  ],
  [
    { A: { ...rule, value: canary } },
    '.A.value: expected {"env": "NAME"} or {"file": "/absolute/path"}, came a text of 25 characters.',
  ],
  [
    { A: { ...rule, value: { env: 'SHORT' } } },
    '.A.value.env: expected 8 to 4096 printable characters without spaces, came a text of 3 characters.',
  ],
  [
    { A: { host: rule.host, value: rule.value } },
    '.A.repositories: expected a list, came nothing.',
  ],
  [
    { A: { ...rule, repositories: [] } },
    '.A.repositories: expected at least 1 item, came a list of 0.',
  ],
  [
    { A: { ...rule, repositories: ['*'] } },
    '.A.repositories[0]: expected owner/name or owner/*, came "*".',
  ],
  [
    { A: { ...rule, methods: ['TRACE'] } },
    '.A.methods[0]: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, came "TRACE".',
  ],
  [{ A: { ...rule, paths: ['v1'] } }, '.A.paths[0]: expected the beginning of a path, came "v1".'],
  [
    { A: { ...rule, paths: ['/v1/../x?'] } },
    '.A.paths[0]: expected the beginning of a path, came "/v1/../x?".',
  ],
  [
    { A: { ...rule, ca: '/nonexistent/ca.pem' } },
    '.A.ca: expected a file of at most 1048576 bytes, came /nonexistent/ca.pem (ENOENT).',
  ],
  [
    { A: { ...rule, ca: keyFile } },
    `.A.ca: expected certificates, as PEM, came a file without any (${keyFile}).`,
  ],
]
for (const [secrets, sentence] of wrongSecrets) {
  test(`a secret is refused for: ${sentence.replaceAll(directory, '')}`, () => {
    const [, ...sentences] = refusal({ secrets })
    assert.deepEqual(sentences, [`secrets${sentence}`])
  })
}

test('a secret has a host, a header and whose tasks may use it; the rest has defaults', () => {
  const ca = fileOf('ca.pem', `# of the company\n${authority}`)
  const { secrets } = read({
    secrets: {
      STRIPE: { ...rule, host: 'API.example.com' },
      METRICS_2: {
        ...{
          host: '127.0.0.1:8443',
          header: 'DD-API-KEY',
          prefix: 'Key ',
          value: { env: 'TOKEN' },
        },
        ...{ ca, repositories: ['Acme/App', 'docs/*'], methods: ['GET'], paths: ['/v1/', '/x'] },
      },
    },
  })
  assert.deepEqual(secrets, [
    {
      ...{ name: 'STRIPE', host: 'api.example.com', port: 443, header: 'authorization' },
      ...{ prefix: '', value: canary, ca: null, repositories: ['acme/*'], paths: ['/'] },
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    },
    {
      ...{ name: 'METRICS_2', host: '127.0.0.1', port: 8443, header: 'dd-api-key' },
      ...{ prefix: 'Key ', value: canary, ca: authority, repositories: ['acme/app', 'docs/*'] },
      ...{ methods: ['GET'], paths: ['/v1/', '/x'] },
    },
  ])
})

test('no secret takes the place of a variable that a sandbox has', () => {
  const names = Object.keys(
    environmentInside({
      ...{ paths: pathsOf('/data/sessions/s'), tmp: '/tmp', path: '/bin', ghConfig: '/gh' },
      ...{ proxyUrl: 'http://127.0.0.1:3128', extra: [] },
    }),
  ).concat('ANTHROPIC_BASE_URL', 'PIP_INDEX_URL', 'PIP_EXTRA_INDEX_URL', 'CLAUDE_CODE_X_URL')
  const urls = names.filter((name) => name.endsWith('_URL')).map((name) => name.slice(0, -4))
  assert.ok(urls.length >= 4)
  for (const name of urls) assert.match(refusal({ secrets: { [name]: rule } })[1] ?? '', /_URL/)
})
