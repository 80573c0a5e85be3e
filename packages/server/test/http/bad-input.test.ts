import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { createKey } from '../../src/http/first-key.ts'
import { openTestApp, order, type Sent, type TestApp, workflowOrder } from './fixture.ts'

let server: TestApp
let id: string
let sessionId: string

before(async () => {
  server = await openTestApp()
  const task = await server.order()
  id = task.id
  sessionId = task.session_id
})
after(() => server[Symbol.asyncDispose]())

const unknownTask = 'task_00000000000000000000000000'
const unknownSession = 'sesn_00000000000000000000000000'

/** What was sent, and what the answer has to say about it. */
interface Row {
  readonly send: readonly [method: string, path: string, sent?: Sent]
  readonly status: number
  /** The error's type; that of bad input if absent. */
  readonly type?: string
  /** Parts of the message: the field, what was expected, what came. */
  readonly says: readonly string[]
}

/** Every field of an order that can be wrong: the camelCase name, the bad value, what is said. */
const badFields: readonly (readonly [field: string, value: unknown, ...says: string[]])[] = [
  ['type', undefined, 'expected one of refactor, analysis, test, deploy, custom', 'got nothing'],
  ['type', 'build', 'got "build"'],
  ['type', 7, 'got 7'],
  ['repoUrl', undefined, 'expected a string, got nothing'],
  ['repoUrl', ['x'], 'expected a string, got an array of 1'],
  ['repoUrl', '', 'expected a repository URL', 'got ""'],
  ['repoUrl', '/srv/git/app', 'got "/srv/git/app"'],
  ['repoUrl', '../app', 'got "../app"'],
  ['repoUrl', 'file:///srv/git/app', 'got "file:///srv/git/app"'],
  ['repoUrl', 'git://github.com/acme/app', 'got "git://github.com/acme/app"'],
  ['repoUrl', 'ext::sh -c id', 'got "ext::sh -c id"'],
  ['repoUrl', '--upload-pack=id', 'got "--upload-pack=id"'],
  ['repoUrl', 'https://github.com', 'with the path of a repository'],
  ['repoUrl', 'https:///acme/app', 'got "https:///acme/app"'],
  ['repoUrl', 'https://github.com/acme/../app', 'without . or .. in its path'],
  ['repoUrl', 'https://github.com/acme/%2e%2E/app', 'without . or .. in its path'],
  ['repoUrl', 'https://github.com/acme/app?x=1', 'without a query'],
  ['repoUrl', 'https://github.com/acme/app#main', 'without a query, a fragment'],
  ['repoUrl', 'https://github.com/acme/app\n', 'without spaces or control characters'],
  ['repoUrl', 'https://github.com/acme/a b', 'without spaces'],
  ['repoUrl', 'https://github.com\\acme/app', 'a backslash'],
  ['repoUrl', 'git@github.com:../app.git', 'without . or .. in its path'],
  ['repoUrl', 'ssh://root@github.com/acme/app', 'got "ssh://***@github.com/acme/app"'],
  ['repoUrl', `https://github.com/${'a'.repeat(2048)}`, 'expected at most 2048 characters'],
  ['instructions', undefined, 'expected a string, got nothing'],
  ['instructions', '', 'expected at least 1 character, got ""'],
  ['instructions', ' \n', 'expected text that is not blank'],
  ['instructions', 'a\0b', 'expected text without NUL', String.raw`got "a\u0000b"`],
  [
    'instructions',
    'a'.repeat(100_001),
    'expected at most 100000 characters',
    '(100001 characters)',
  ],
  ['priority', 'urgent', 'expected one of low, medium, high, got "urgent"'],
  ['priority', null, 'got null'],
  ['baseBranch', 5, 'expected a string, got 5'],
  ['baseBranch', '', 'expected the name of a branch', 'got ""'],
  ['baseBranch', '-x', 'got "-x"'],
  ['baseBranch', 'a..b', 'got "a..b"'],
  ['baseBranch', 'a b', 'got "a b"'],
  ['baseBranch', 'refs/heads/main', 'got "refs/heads/main"'],
  ['baseBranch', 'a/.b', 'got "a/.b"'],
  ['baseBranch', 'a.lock', 'got "a.lock"'],
  ['baseBranch', 'a@{1}', 'got "a@{1}"'],
  ['baseBranch', 'a'.repeat(256), 'expected at most 255 characters'],
  ['setup', 'npm ci', 'expected an array, got "npm ci"'],
  ['setup', [1], 'expected a string, got 1'],
  ['setup', Array(21).fill('true'), 'expected at most 20 entries, got an array of 21'],
  ['checks', [''], 'expected at least 1 character, got ""'],
  ['checks', ['x'.repeat(4001)], 'expected at most 4000 characters'],
  ['checks', { run: 'x' }, 'expected an array, got an object'],
  ['commands', [null], 'expected a string, got null'],
  ['commands', ['deploy'], 'only a task of type deploy runs them'],
  ['workdir', '/etc', 'expected a relative path', 'got "/etc"'],
  ['workdir', 'a/../../b', 'without ..'],
  ['workdir', '', 'got ""'],
  ['workdir', 'a\\b', 'expected a relative path'],
  ['workdir', '.git/hooks', 'got ".git/hooks"'],
  ['workdir', 'a'.repeat(1025), 'expected at most 1024 characters'],
  ['timeLimitMinutes', '60', 'expected a number, got "60"'],
  ['timeLimitMinutes', 1.5, 'expected a whole number, got 1.5'],
  ['timeLimitMinutes', 0, 'expected at least 1, got 0'],
  ['timeLimitMinutes', 1381, 'expected at most 1380, got 1381'],
  ['maxBudgetUsd', '5', 'expected a number, got "5"'],
  ['maxBudgetUsd', 0, 'expected more than 0, got 0'],
  ['maxBudgetUsd', 10_001, 'expected at most 10000, got 10001'],
  ['callbackUrl', 'example.com/done', 'expected an https URL', 'got "example.com/done"'],
  ['callbackUrl', 'ftp://example.com/', 'got "ftp://example.com/"'],
  ['callbackUrl', 'https://example.com/#x', 'without credentials and fragment'],
  ['callbackUrl', 'http://127.0.0.1/', 'CALLBACK_ALLOW'],
  ['callbackUrl', `https://example.com/${'a'.repeat(2048)}`, 'expected at most 2048 characters'],
  ['context', 'x'.repeat(4096), 'expected at most 4096 bytes of JSON, not 4098'],
  ['context', { a: '\ud800' }, 'unpaired surrogates', 'got an object'],
  ['payload', [], 'expected an object, got an array of 0'],
  ['payload', 'x', 'expected an object, got "x"'],
  ['payload', { a: 'x'.repeat(65_536) }, 'expected at most 65536 bytes of JSON'],
  ['payload', nested(33), 'expected JSON of at most 32 levels'],
  ['colour', 'red', 'unknown field, got "red"'],
]

const inSnakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

for (const [path, base, named] of [
  ['/api/workflows', workflowOrder, (name: string) => name],
  ['/v1/tasks', order, inSnakeCase],
] as const) {
  for (const [field, value, ...says] of badFields) {
    const name = named(field)
    test(`POST ${path} refuses ${name}: ${short(value)}`, () =>
      expect({
        send: ['POST', path, { body: { ...base, [name]: value } }],
        status: 400,
        says: [name, ...says],
      }))
  }

  test(`POST ${path} never repeats the credentials in a URL`, async () => {
    const bad = { [named('repoUrl')]: 'https://joe:hunter2@github.com/acme/app' }
    const answer = await server.send('POST', path, { body: { ...base, ...bad } })
    assert.equal(answer.status, 400)
    assert.doesNotMatch(await answer.text(), /hunter2|joe/)
  })

  test(`POST ${path} names every bad field at once`, async () => {
    const answer = await server.send('POST', path, { body: { type: 1, colour: 1, shape: 1 } })
    const { error } = JSON.parse(await answer.text())
    assert.equal(error.details.error_code, 'invalid_input')
    const names = error.details.fields.map((one: { field: string }) => one.field)
    const wanted = ['type', named('repoUrl'), 'instructions', 'colour', 'shape']
    assert.deepEqual(names, wanted)
  })

  const bodies: readonly (readonly [string, Sent, number, ...string[]])[] = [
    ['no body', {}, 400, 'type', 'got nothing'],
    ['an empty body', { body: '' }, 400, 'type', 'got nothing'],
    ['half an object', { body: '{"type":' }, 400, 'The body is not JSON'],
    [
      'bytes that are not UTF-8',
      { body: Uint8Array.of(0x22, 0xff, 0x22) },
      400,
      'The body is not JSON',
    ],
    ['an array', { body: [base] }, 400, 'body: expected an object, got an array of 1'],
    ['a string', { body: '"x"' }, 400, 'body: expected an object, got "x"'],
    ['null', { body: 'null' }, 400, 'body: expected an object, got null'],
    [
      'a form',
      { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'content-type',
      'expected application/json, got "application/x-www-form-urlencoded"',
    ],
    [
      'plain text',
      { body: '{}', headers: { 'content-type': 'text/plain' } },
      415,
      'got "text/plain"',
    ],
    [
      '1 MiB and a byte',
      { body: JSON.stringify('x'.repeat(1024 * 1024 - 1)) },
      413,
      'at most 1048576 bytes',
    ],
    [
      'a length that lies',
      { body: '{}', headers: { 'content-length': '99999999' } },
      413,
      'at most 1048576 bytes',
    ],
    [
      'a field called __proto__',
      { body: `{"__proto__":1,${JSON.stringify(base).slice(1)}` },
      400,
      '__proto__',
      'unknown field',
    ],
  ]
  for (const [what, sent, status, ...says] of bodies) {
    test(`POST ${path} answers ${status} to ${what}`, () =>
      expect({
        send: ['POST', path, sent],
        status,
        type: status === 413 ? 'request_too_large' : 'invalid_request_error',
        says,
      }))
  }
}

const idRule = 'id: expected task_ and 26 letters or digits, got "nope"'
const sessionRule = 'id: expected sesn_ and 26 letters or digits, got "nope"'
const limits = (path: string, max: number): Row[] =>
  ['0', '-1', 'x', '1.5', String(max + 1), ''].map((limit) => ({
    send: ['GET', `${path}?limit=${limit}`],
    status: 400,
    says: [`limit: expected a whole number from 1 to ${max}, got "${limit}"`],
  }))
const rows = (): Row[] => [
  ...limits('/api/workflows', 100),
  ...limits('/v1/tasks', 100),
  ...limits(`/v1/sessions/${sessionId}/events`, 1000),
  ...['/api/workflows', '/v1/tasks'].flatMap((path): Row[] => [
    { send: ['GET', `${path}?status=done`], status: 400, says: ['status', 'got "done"'] },
    { send: ['GET', `${path}?page=nope`], status: 400, says: ['page', 'got "nope"'] },
    { send: ['GET', `${path}?page=${id}%00`], status: 400, says: ['page', String.raw`\u0000`] },
    { send: ['GET', `${path}?colour=1`], status: 400, says: ['colour: unknown field, got "1"'] },
    { send: ['GET', `${path}?limit=1&limit=2`], status: 400, says: ['limit', 'an array of 2'] },
    { send: ['GET', `${path}/nope`], status: 400, says: [idRule] },
    { send: ['GET', `${path}/%00`], status: 400, says: ['id', String.raw`got "\u0000"`] },
    { send: ['GET', `${path}/${sessionId}`], status: 400, says: ['id', sessionId] },
    {
      send: ['GET', `${path}/${unknownTask}`],
      status: 404,
      type: 'not_found_error',
      says: [unknownTask],
    },
    { send: ['DELETE', `${path}/${id}`], status: 405, says: ['answers GET, HEAD, got DELETE'] },
    { send: ['PUT', path, { body: {} }], status: 405, says: ['answers GET, HEAD, POST, got PUT'] },
  ]),
  { send: ['POST', '/v1/tasks/nope/cancel'], status: 400, says: [idRule] },
  {
    send: ['POST', `/v1/tasks/${unknownTask}/cancel`],
    status: 404,
    type: 'not_found_error',
    says: [unknownTask],
  },
  {
    send: ['POST', `/v1/tasks/${id}/cancel`, { body: { why: 'x' } }],
    status: 400,
    says: ['why: unknown field'],
  },
  { send: ['POST', `/v1/tasks/${id}/cancel`, { body: '{' }], status: 400, says: ['not JSON'] },
  { send: ['GET', `/v1/tasks/${id}/cancel`], status: 405, says: ['answers POST, got GET'] },
  { send: ['GET', '/v1/tasks/nope/artifacts/a'], status: 400, says: [idRule] },
  {
    send: ['GET', `/v1/tasks/${id}/artifacts/a%00b`],
    status: 400,
    says: ['name', String.raw`got "a\u0000b"`],
  },
  { send: ['GET', `/v1/tasks/${id}/artifacts/..%2Fa`], status: 400, says: ['name', 'got "../a"'] },
  {
    send: ['GET', `/v1/tasks/${id}/artifacts/${'a'.repeat(256)}`],
    status: 400,
    says: ['name', '256 characters'],
  },
  {
    send: ['GET', `/v1/tasks/${id}/artifacts/none`],
    status: 404,
    type: 'not_found_error',
    says: ['artifact "none"'],
  },
  {
    send: ['GET', `/v1/tasks/${unknownTask}/artifacts/a`],
    status: 404,
    type: 'not_found_error',
    says: [unknownTask],
  },
  { send: ['POST', `/v1/tasks/${id}/artifacts/a`], status: 405, says: ['answers GET, HEAD'] },
  ...['events', 'events/stream'].flatMap((name): Row[] => [
    { send: ['GET', `/v1/sessions/nope/${name}`], status: 400, says: [sessionRule] },
    {
      send: ['GET', `/v1/sessions/${unknownSession}/${name}`],
      status: 404,
      type: 'not_found_error',
      says: [unknownSession],
    },
    {
      send: ['GET', `/v1/sessions/${sessionId}/${name}?after=-1`],
      status: 400,
      says: ['after', 'got "-1"'],
    },
    {
      send: ['GET', `/v1/sessions/${sessionId}/${name}?after=1e3`],
      status: 400,
      says: ['after', 'got "1e3"'],
    },
    { send: ['GET', `/v1/sessions/${sessionId}/${name}?colour=1`], status: 400, says: ['colour'] },
    {
      send: ['POST', `/v1/sessions/${sessionId}/${name}`],
      status: 405,
      says: ['answers GET, HEAD'],
    },
  ]),
  {
    send: ['GET', `/v1/sessions/${sessionId}/events?page=x`],
    status: 400,
    says: ['page', 'got "x"'],
  },
  {
    send: ['GET', `/v1/sessions/${sessionId}/events?page=1&after=1`],
    status: 400,
    says: ['page: expected one of after and page'],
  },
  {
    send: ['GET', `/v1/sessions/${sessionId}/events?types[]=X!`],
    status: 400,
    says: ['types[].0: expected an event type', 'got "X!"'],
  },
  {
    send: ['GET', `/v1/sessions/${sessionId}/events/stream?event_deltas[]=all`],
    status: 400,
    says: ['event_deltas[].0', 'got "all"'],
  },
  ...['x', '-1', '1.5', '99999999999999999999'].map(
    (last): Row => ({
      send: [
        'GET',
        `/v1/sessions/${sessionId}/events/stream`,
        { headers: { 'last-event-id': last } },
      ],
      status: 400,
      says: [`last-event-id: expected a whole number from 0`, `got "${last}"`],
    }),
  ),
  { send: ['GET', '/'], status: 404, type: 'not_found_error', says: ['route GET /'] },
  { send: ['GET', '/v2/tasks'], status: 404, type: 'not_found_error', says: ['/v2/tasks'] },
  { send: ['GET', '/v1/tasks/'], status: 404, type: 'not_found_error', says: ['/v1/tasks/'] },
  ...['/livez', '/readyz', '/health', '/openapi.json'].map(
    (path): Row => ({
      send: ['POST', path, { body: {} }],
      status: 405,
      says: ['answers GET, HEAD, got POST'],
    }),
  ),
]

test('every route refuses what is not for it, and says what came', async (t) => {
  for (const row of rows()) {
    const [method, path] = row.send
    await t.test(`${method} ${short(path)} → ${row.status}`, () => expect(row))
  }
})

test('every route but the three of health needs a key', async (t) => {
  const routes: readonly (readonly [string, string])[] = [
    ['POST', '/api/workflows'],
    ['GET', '/api/workflows'],
    ['GET', `/api/workflows/${id}`],
    ['POST', '/v1/tasks'],
    ['GET', '/v1/tasks'],
    ['GET', `/v1/tasks/${id}`],
    ['POST', `/v1/tasks/${id}/cancel`],
    ['GET', `/v1/tasks/${id}/artifacts/a`],
    ['GET', `/v1/sessions/${sessionId}/events`],
    ['GET', `/v1/sessions/${sessionId}/events/stream`],
    ['GET', '/openapi.json'],
    ['GET', '/unknown'],
  ]
  const keys: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    ['no key', { authorization: '' }, /An API key is needed/],
    ['a scheme of its own', { authorization: `Basic ${server.key}` }, /An API key is needed/],
    ['a wrong key', { authorization: `Bearer ${server.key}x` }, /not known or was revoked/],
    ['a wrong x-api-key', { authorization: '', 'x-api-key': 'lh_x' }, /not known or was revoked/],
    ['an endless key', { authorization: `Bearer ${'x'.repeat(600)}` }, /An API key is needed/],
  ]
  for (const [method, path] of routes) {
    for (const [what, headers, says] of keys) {
      await t.test(`${method} ${path} with ${what}`, async () => {
        const answer = await server.send(method, path, { headers })
        const body = JSON.parse(await answer.text())
        assert.equal(answer.status, 401)
        assert.equal(body.error.type, 'authentication_error')
        assert.match(body.error.message, says)
        assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
        assert.ok(!body.error.message.includes(server.key))
      })
    }
  }
})

test('a revoked key is as good as none', async () => {
  const key = await createKey({ store: server.store, clock: systemClock }, 'revoked')
  const headers = { authorization: '', 'x-api-key': key }
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 200)
  await server.store.db
    .updateTable('keys')
    .set({ revoked_at: new Date() })
    .where('name', '=', 'revoked')
    .execute()
  assert.equal((await server.send('GET', '/v1/tasks', { headers })).status, 401)
})

/** Sends a row and holds the answer against it: status, envelope, type, and every part of the text. */
async function expect({ send, status, type = 'invalid_request_error', says }: Row): Promise<void> {
  const answer = await server.send(...send)
  const text = await answer.text()
  assert.equal(answer.status, status, text)
  const body = JSON.parse(text)
  assert.equal(body.type, 'error')
  assert.equal(body.error.type, type)
  assert.match(body.request_id, /^req_[0-9a-z]{26}$/)
  assert.equal(answer.headers.get('request-id'), body.request_id)
  for (const part of says) assert.ok(body.error.message.includes(part), `${part} ∉ ${text}`)
  if (status === 405) assert.equal(answer.headers.get('allow')?.includes(send[0]), false)
}

function nested(levels: number): unknown {
  return Array.from({ length: levels - 1 }).reduce((inner) => ({ a: inner }), {})
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length})` : text
}
