/** What is wrong with requests that are no orders, route by route: a table of bad-input.test.ts. */
import { order, type Sent, workflowOrder } from './fixture.ts'
import type { Row } from './refusal.ts'

/** A task that is there, and its session. */
interface Made {
  readonly id: string
  readonly sessionId: string
  /** Another one, which has ended. */
  readonly endedId: string
}

const unknownTask = 'task_00000000000000000000000000'
const unknownRepository = 'repo_00000000000000000000000000'
const unknownSession = 'sesn_00000000000000000000000000'

export function badRequests(made: Made): Row[] {
  const { id } = made
  return [
    ...['/api/workflows', '/v1/tasks'].flatMap((path) => [
      ...badList(path, made),
      ...badTask(path, made),
      ...badJson(path),
    ]),
    ...badKeys,
    ...badRetry(made),
    ...badJson(`/v1/tasks/${made.endedId}/retry`),
    ...badDelete(id),
    ...badCancel(id),
    ...badMessage(id),
    ...badJson(`/v1/tasks/${id}/messages`),
    ...badJson(`/v1/tasks/${id}/cancel`),
    ...badRepositories,
    ...badJson('/v1/repositories'),
    ...badArtifact(id),
    ...badDiff(id),
    ...badTranscript(id),
    ...badSessions(made),
    ...badEvents(made),
    ...badStream(made),
    ...badRoute,
  ]
}

/** A row of a GET that is answered 400. */
function bad(path: string, ...says: string[]): Row {
  return { send: ['GET', path], status: 400, says }
}

function missing(method: string, path: string, what: string): Row {
  return { send: [method, path], status: 404, says: [what] }
}

function wrongMethod(method: string, path: string, allowed: string): Row {
  return { send: [method, path], status: 405, says: [`answers ${allowed}, got ${method}`] }
}

function badLimits(path: string, max: number): Row[] {
  const rule = `limit: expected a whole number from 1 to ${max}`
  return [
    ...['0', '-1', 'x', '1.5', '1e1', String(max + 1), ''].map((limit) =>
      bad(`${path}?limit=${limit}`, `${rule}, got "${limit}"`),
    ),
    bad(`${path}?limit=1&limit=2`, 'limit: expected a string, got an array of 2'),
  ]
}

function badList(path: string, { id }: Made): Row[] {
  const [time, times] = path === '/v1/tasks' ? ['created_at', rfc3339] : ['createdAt', milliseconds]
  const [repo, cost] = path === '/v1/tasks' ? ['repo_url', 'cost_usd'] : ['repoUrl', 'costUsd']
  const many = Array(51).fill('status=failed').join('&')
  return [
    ...badLimits(path, 100),
    bad(`${path}?status=done`, 'status.0: expected one of pending, running', 'got "done"'),
    bad(`${path}?status=`, 'status.0: expected one of pending, running', 'got ""'),
    bad(`${path}?status=failed&status=x`, 'status.1: expected one of pending', 'got "x"'),
    bad(`${path}?${many}`, 'status: expected at most 50 entries, got an array of 51'),
    bad(`${path}?type=build`, 'type.0: expected one of refactor', 'got "build"'),
    bad(`${path}?priority=urgent`, 'priority.0: expected one of low', 'got "urgent"'),
    bad(`${path}?reason=bored`, 'reason.0: expected one of queued', 'got "bored"'),
    bad(`${path}?label=A`, 'label.0: expected 1 to 63 of a-z', 'got "A"'),
    bad(`${path}?label=a&label=%25`, 'label.1: expected 1 to 63 of a-z', 'got "%"'),
    bad(`${path}?${repo}=acme/app`, `${repo}.0: expected a repository URL`, 'got "acme/app"'),
    bad(`${path}?${repo}=https://joe:secret@a.example/b`, 'without credentials', '://***@'),
    ...['', ' ', '%2A%2A', '%27%3A%2A', '%25_%25', 'a%00b', 'a'.repeat(201)].map((q) =>
      bad(`${path}?q=${q}`, 'q: expected'),
    ),
    bad(`${path}?q=a&q=b`, 'q: expected a string, got an array of 2'),
    ...times.bad.map((value) => bad(`${path}?${time}[gte]=${value}`, `${time}[gte]: expected`)),
    bad(`${path}?${time}=${times.good}`, `${time}: unknown field`),
    bad(`${path}?${time}[ne]=${times.good}`, `${time}[ne]: unknown field`),
    bad(`${path}?${time}[lt]=${times.good}&${time}[lt]=${times.good}`, `${time}[lt]: expected a`),
    ...['', '-1', '1e3', '1,5', '.5', '$5', 'NaN', '9'.repeat(10)].map((value) =>
      bad(`${path}?${cost}[gt]=${value}`, `${cost}[gt]: expected US dollars`, `got "${value}"`),
    ),
    ...['nope', id, `${id}-1`, `-1-${id}`, `1-${id}%00`, `${'9'.repeat(16)}-${id}`].map((page) =>
      bad(`${path}?page=${page}`, 'page: expected what the page before named'),
    ),
    bad(`${path}?page=1-${id}&page=1-${id}`, 'page: expected a string, got an array of 2'),
    bad(`${path}?colour=1`, 'colour: unknown field, got "1"'),
    bad(
      `${path}?status=x&limit=0&page=y&colour=1&q=&label=A&${cost}[lt]=x&${time}[gt]=x`,
      ...['status.0:', 'limit:', 'page:', 'colour:', 'q:', 'label.0:', `${cost}[lt]:`],
      `${time}[gt]:`,
    ),
    wrongMethod('PUT', path, 'GET, HEAD, POST'),
    wrongMethod('DELETE', path, 'GET, HEAD, POST'),
  ]
}

const rfc3339 = {
  good: '2026-11-24T10:00:00Z',
  bad: ['', 'x', '0', '2026-11-24', '2026-11-24T10:00:00', '2026-13-01T00:00:00Z'],
}
const milliseconds = {
  good: '1796000000000',
  bad: ['', 'x', '-1', '1.5', '1e3', '2026-11-24T10:00:00Z', '9'.repeat(16)],
}

function badTask(path: string, { id, sessionId }: Made): Row[] {
  const rule = 'id: expected task_ and 26 letters or digits'
  return [
    bad(`${path}/nope`, `${rule}, got "nope"`),
    bad(`${path}/%00`, rule, String.raw`got "\u0000"`),
    bad(`${path}/%E0%A4%A`, rule),
    bad(`${path}/${sessionId}`, rule, sessionId),
    bad(`${path}/${id.toUpperCase()}`, rule),
    bad(`${path}/${id}?foo=1`, 'foo: unknown field, got "1"'),
    missing('GET', `${path}/${unknownTask}`, unknownTask),
    ...['PUT', 'POST'].map((method) =>
      wrongMethod(
        method,
        `${path}/${id}`,
        path === '/v1/tasks' ? 'DELETE, GET, HEAD' : 'GET, HEAD',
      ),
    ),
  ]
}

/** What no route that takes a body takes. */
function badJson(path: string): Row[] {
  const row = (sent: Sent, status: number, ...says: string[]): Row => ({
    send: ['POST', path, sent],
    status,
    says,
  })
  const form = 'application/x-www-form-urlencoded'
  const malformed = (body: unknown, ...says: string[]): Row => ({
    ...row({ body }, 400, 'The body is not JSON', ...says),
    code: 'malformed_json',
  })
  return [
    malformed('{"type":'),
    malformed('{} {}'),
    malformed(Uint8Array.of(0x22, 0xff, 0x22), 'expected UTF-8'),
    row({ body: 'a=b', headers: { 'content-type': form } }, 415, `got "${form}"`),
    row({ body: '{}', headers: { 'content-type': 'text/plain' } }, 415, 'got "text/plain"'),
    row({ body: '{}', headers: { 'content-type': 'application/jsonp' } }, 415, 'content-type'),
    row({ body: JSON.stringify('x'.repeat(1024 * 1024 - 1)) }, 413, 'at most 1048576 bytes'),
    row({ body: '{}', headers: { 'content-length': '99999999' } }, 413, 'at most 1048576 bytes'),
    row({ body: [] }, 400, 'body: expected an object, got an array of 0'),
    row({ body: { colour: 1 } }, 400, 'colour: unknown field, got 1'),
  ]
}

/** Values of `Idempotency-Key`, on every route that creates. */
const badKeys: readonly Row[] = [
  ['/v1/tasks', order] as const,
  ['/api/workflows', workflowOrder] as const,
  [`/v1/tasks/${unknownTask}/retry`, {}] as const,
].flatMap(([path, body]) =>
  ['', ' ', 'two words', 'ключ', 'a'.repeat(256), 'a, b'].map((key): Row => {
    // A header's spaces are cut off, and its bytes are read one by one.
    const got = JSON.stringify(Buffer.from(key.trim()).toString('latin1')).slice(0, 60)
    const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') }
    const says = ['idempotency-key: expected 1 to 255 visible ASCII characters', `got ${got}`]
    return { send: ['POST', path, { body, headers }], status: 400, says }
  }),
)

function badRetry({ id, endedId }: Made): Row[] {
  const path = `/v1/tasks/${endedId}/retry`
  const row = (body: object, ...says: string[]): Row => ({
    send: ['POST', path, { body }],
    status: 400,
    says,
  })
  return [
    row({ type: null }, 'type: expected one of', 'got nothing'),
    row({ instructions: null, repo_url: null }, 'instructions: expected a string', 'repo_url: '),
    row({ repoUrl: 'https://github.com/acme/app' }, 'repoUrl: unknown field'),
    row({ retry_of: endedId }, 'retry_of: unknown field'),
    row({ commands: ['deploy'] }, 'commands: expected none', 'only a task of type deploy'),
    { ...row({}, '__proto__: unknown field'), send: ['POST', path, { body: '{"__proto__":1}' }] },
    { ...row({}, 'id: expected task_'), send: ['POST', '/v1/tasks/nope/retry'] },
    missing('POST', `/v1/tasks/${unknownTask}/retry`, unknownTask),
    wrongMethod('GET', path, 'POST'),
    {
      send: ['POST', `/v1/tasks/${id}/retry`, { body: { type: 'nonsense' } }],
      status: 409,
      code: 'task_not_ended',
      says: ['The task has not ended: it is pending, queued.'],
    },
  ]
}

function badDelete(id: string): Row[] {
  return [
    { send: ['DELETE', '/v1/tasks/nope'], status: 400, says: ['id: expected task_'] },
    missing('DELETE', `/v1/tasks/${unknownTask}`, unknownTask),
    {
      send: ['DELETE', `/v1/tasks/${id}`],
      status: 409,
      code: 'task_not_ended',
      says: ['The task has not ended: it is pending, queued.'],
    },
  ]
}

function badCancel(id: string): Row[] {
  return [
    {
      send: ['POST', '/v1/tasks/nope/cancel'],
      status: 400,
      says: ['id: expected task_ and 26 letters or digits, got "nope"'],
    },
    missing('POST', `/v1/tasks/${unknownTask}/cancel`, unknownTask),
    wrongMethod('GET', `/v1/tasks/${id}/cancel`, 'POST'),
  ]
}

const badRepositories: readonly Row[] = [
  ...badLimits('/v1/repositories', 100),
  bad('/v1/repositories?url=acme%2Fapp', 'url: expected a repository URL', 'got "acme/app"'),
  bad('/v1/repositories?page=nope', 'page: expected repo_', 'got "nope"'),
  bad('/v1/repositories?colour=1', 'colour: unknown field, got "1"'),
  bad('/v1/repositories/nope', 'id: expected repo_ and 26 letters or digits, got "nope"'),
  bad(`/v1/repositories/${unknownRepository}?foo=1`, 'foo: unknown field, got "1"'),
  missing('GET', `/v1/repositories/${unknownRepository}`, unknownRepository),
  missing('POST', `/v1/repositories/${unknownRepository}`, unknownRepository),
  missing('DELETE', `/v1/repositories/${unknownRepository}`, unknownRepository),
  wrongMethod('PUT', `/v1/repositories/${unknownRepository}`, 'DELETE, GET, HEAD, POST'),
  wrongMethod('DELETE', '/v1/repositories', 'GET, HEAD, POST'),
]

function badMessage(id: string): Row[] {
  const path = `/v1/tasks/${id}/messages`
  const row = (body: unknown, ...says: string[]): Row => ({
    send: ['POST', path, { body }],
    status: 400,
    says,
  })
  return [
    {
      ...row({ text: 'x' }, 'id: expected task_'),
      send: ['POST', '/v1/tasks/nope/messages', { body: { text: 'x' } }],
    },
    row({}, 'text: expected a string, got nothing'),
    row({ text: '' }, 'text: expected at least 1 character, got ""'),
    row({ text: ' \n' }, 'text: expected text that is not blank'),
    row({ text: 'a\0b' }, 'text: expected text without NUL'),
    row({ text: '\ud800' }, 'text: expected text without NUL and unpaired surrogates'),
    row({ text: ['x'] }, 'text: expected a string, got an array of 1'),
    row(
      { text: 'x'.repeat(100_001) },
      'text: expected at most 100000 characters',
      '(100001 characters)',
    ),
    row({ text: 'x', mode: 'now' }, 'mode: expected one of steer, interrupt, queue, got "now"'),
    row({ text: 'x', mode: null }, 'mode: expected one of steer, interrupt, queue'),
    row({ mode: 1, colour: 1 }, 'text:', 'mode:', 'colour: unknown field, got 1'),
    {
      send: ['POST', `/v1/tasks/${unknownTask}/messages`, { body: { text: 'x' } }],
      status: 404,
      says: [unknownTask],
    },
    wrongMethod('GET', path, 'POST'),
    wrongMethod('DELETE', path, 'POST'),
  ]
}

function badArtifact(id: string): Row[] {
  const files = `/v1/tasks/${id}/artifacts`
  return [
    bad('/v1/tasks/nope/artifacts/a', 'id: expected task_ and 26 letters or digits, got "nope"'),
    bad(`${files}/a%00b`, 'name: expected the name of an artifact', String.raw`got "a\u0000b"`),
    bad(`${files}/..%2Fa`, 'name', 'got "../a"'),
    bad(`${files}/a%5Cb`, 'name', String.raw`got "a\\b"`),
    bad(`${files}/${'a'.repeat(256)}`, 'name', '256 characters'),
    bad(`${files}/none?foo=1`, 'foo: unknown field, got "1"'),
    missing('GET', `${files}/none`, 'artifact "none"'),
    missing('GET', `/v1/tasks/${unknownTask}/artifacts/a`, unknownTask),
    wrongMethod('POST', `${files}/a`, 'GET, HEAD'),
    bad('/v1/tasks/nope/artifacts', 'id: expected task_ and 26 letters or digits, got "nope"'),
    ...badLimits(files, 100),
    bad(`${files}?page=nope`, 'page: expected art_', 'got "nope"'),
    bad(`${files}?page=x&limit=0&colour=1`, 'page:', 'limit:', 'colour:'),
    missing('GET', `/v1/tasks/${unknownTask}/artifacts`, unknownTask),
    wrongMethod('POST', files, 'GET, HEAD'),
  ]
}

function badDiff(id: string): Row[] {
  const path = `/v1/tasks/${id}/diff`
  return [
    bad('/v1/tasks/nope/diff', 'id: expected task_ and 26 letters or digits, got "nope"'),
    missing('GET', `/v1/tasks/${unknownTask}/diff`, unknownTask),
    missing('GET', path, 'nothing is committed'),
    bad(`${path}?format=html`, 'format: expected one of json, patch, got "html"'),
    bad(`${path}?format=json&format=patch`, 'format', 'got an array of 2'),
    bad(`${path}?base=x`, 'base: unknown field, got "x"'),
    wrongMethod('POST', path, 'GET, HEAD'),
  ]
}

function badTranscript(id: string): Row[] {
  const path = `/v1/tasks/${id}/transcript`
  return [
    bad('/v1/tasks/nope/transcript', 'id: expected task_ and 26 letters or digits, got "nope"'),
    missing('GET', `/v1/tasks/${unknownTask}/transcript`, unknownTask),
    bad(`${path}?format=md`, 'format: expected one of markdown, jsonl, got "md"'),
    bad(`${path}?after=1&format=`, 'format:', 'after: unknown field, got "1"'),
    wrongMethod('POST', path, 'GET, HEAD'),
  ]
}

function badSessions({ sessionId }: Made): Row[] {
  const path = '/v1/sessions'
  const one = `${path}/${sessionId}`
  const rule = 'id: expected sesn_ and 26 letters or digits, got "nope"'
  return [
    ...badLimits(path, 100),
    bad(`${path}?statuses=done`, 'statuses.0: expected one of idle, running', 'got "done"'),
    bad(`${path}?statuses[]=idle&statuses[]=x`, 'statuses[].1: expected one of', 'got "x"'),
    bad(`${path}?agent_id=nope`, 'agent_id: expected agent_', 'got "nope"'),
    bad(`${path}?include_archived=1`, 'include_archived: expected one of true, false', 'got "1"'),
    bad(`${path}?order=up`, 'order: expected one of asc, desc, got "up"'),
    ...rfc3339.bad.map((time) =>
      bad(`${path}?created_at[gte]=${time}`, 'created_at[gte]: expected'),
    ),
    ...['nope', sessionId, `1-${unknownTask}`, `-1-${sessionId}`].map((page) =>
      bad(`${path}?page=${page}`, 'page: expected what the page before named'),
    ),
    bad(`${path}?page=x&limit=0&colour=1`, 'page:', 'limit:', 'colour: unknown field'),
    wrongMethod('POST', path, 'GET, HEAD'),
    bad(`${path}/nope`, rule),
    bad(`${one}?foo=1&beta=true`, 'foo: unknown field, got "1"'),
    missing('GET', `${path}/${unknownSession}`, unknownSession),
    wrongMethod('PUT', one, 'DELETE, GET, HEAD'),
    missing('DELETE', `${path}/${unknownSession}`, unknownSession),
    { send: ['DELETE', `${path}/nope`], status: 400, says: [rule] },
    { send: ['POST', `${path}/nope/archive`], status: 400, says: [rule] },
    missing('POST', `${path}/${unknownSession}/archive`, unknownSession),
    wrongMethod('GET', `${one}/archive`, 'POST'),
    ...badJson(`${one}/archive`),
  ]
}

/** What neither the pages of a log nor its stream take. */
function badLog(sessionId: string, name: string): Row[] {
  const path = `/v1/sessions/${sessionId}/${name}`
  return [
    bad(`/v1/sessions/nope/${name}`, 'id: expected sesn_ and 26 letters or digits, got "nope"'),
    missing('GET', `/v1/sessions/${unknownSession}/${name}`, unknownSession),
    ...['-1', '1e3', '1.5', 'x', '', '9'.repeat(20)].map((after) =>
      bad(`${path}?after=${after}`, 'after: expected a whole number from 0', `got "${after}"`),
    ),
    bad(`${path}?after=1&after=2`, 'after: expected a string, got an array of 2'),
    bad(`${path}?before=1`, 'before: unknown field, got "1"'),
    wrongMethod('POST', path, 'GET, HEAD'),
  ]
}

function badEvents({ sessionId }: Made): Row[] {
  const path = `/v1/sessions/${sessionId}/events`
  const types = Array.from({ length: 51 }, () => 'types=a.b').join('&')
  return [
    ...badLog(sessionId, 'events'),
    ...badLimits(path, 1000),
    bad(`${path}?page=x`, 'page', 'got "x"'),
    bad(`${path}?page=1&page=2`, 'page', 'got an array of 2'),
    bad(`${path}?page=1&after=1`, 'page: expected one of after and page, not both'),
    bad(`${path}?page=1&after=1&limit=0&colour=1`, 'page:', 'limit:', 'colour:'),
    bad(`${path}?types[]=X!`, 'types[].0: expected an event type', 'got "X!"'),
    bad(`${path}?types=a.b&types=c`, 'types.1: expected an event type', 'got "c"'),
    bad(`${path}?${types}`, 'types: expected at most 50 entries, got an array of 51'),
    bad(`${path}?q=`, 'q: expected at least 1 character', 'got ""'),
    bad(`${path}?q=%20`, 'q: expected text that is not blank', 'got " "'),
    bad(`${path}?q=a%00`, 'q: expected text without NUL', String.raw`got "a\u0000"`),
    bad(`${path}?q=${'x'.repeat(201)}`, 'q: expected at most 200 characters', '(201 characters)'),
    bad(`${path}?q=a&q=b`, 'q: expected a string, got an array of 2'),
    bad(`${path}?errors=yes`, 'errors: expected one of true, got "yes"'),
  ]
}

function badStream({ sessionId }: Made): Row[] {
  const path = `/v1/sessions/${sessionId}/events/stream`
  return [
    ...badLog(sessionId, 'events/stream'),
    bad(`${path}?limit=1`, 'limit: unknown field, got "1"'),
    bad(`${path}?event_deltas[]=all`, 'event_deltas[].0', 'got "all"'),
    ...['x', '-1', '1.5', '9'.repeat(20)].map((last): Row => {
      const headers = { 'last-event-id': last }
      const says = ['last-event-id: expected a whole number from 0', `got "${last}"`]
      return { send: ['GET', path, { headers }], status: 400, says }
    }),
  ]
}

const badRoute: readonly Row[] = [
  bad('/v1/ws?after=1', 'after: unknown field, got "1"'),
  { send: ['GET', '/v1/ws'], status: 426, says: ['expected `Upgrade: websocket`'] },
  wrongMethod('POST', '/v1/ws', 'GET, HEAD'),
  missing('GET', '/', 'route GET /'),
  missing('GET', '/v2/tasks', 'route GET /v2/tasks'),
  missing('GET', '/v1/tasks/', '/v1/tasks/'),
  missing('DELETE', '/v1', 'route DELETE /v1'),
  missing('GET', `/${'a'.repeat(5000)}`, 'route GET /aaa'),
  ...['/livez', '/readyz', '/health', '/openapi.json'].map((path) =>
    wrongMethod('POST', path, 'GET, HEAD'),
  ),
]
