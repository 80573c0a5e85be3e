/** What is wrong with requests about tasks that are no orders: a table of bad-input.test.ts. */
import {
  bad,
  badJson,
  badLimits,
  type Made,
  missing,
  rfc3339,
  unknownTask,
  wrongMethod,
} from './bad-rows.ts'
import { order, workflowOrder } from './fixture.ts'
import type { Row } from './refusal.ts'

export function badTasks(made: Made): Row[] {
  const { id, endedId } = made
  return [
    ...['/api/workflows', '/v1/tasks'].flatMap((path) => [
      ...badList(path, made),
      ...badTask(path, made),
      ...badJson(path),
    ]),
    ...badKeys,
    ...badRetry(made),
    ...badJson(`/v1/tasks/${endedId}/retry`),
    ...badDelete(id),
    ...badCancel(id),
    ...badMessage(id),
    ...badJson(`/v1/tasks/${id}/messages`),
    ...badJson(`/v1/tasks/${id}/cancel`),
    ...badArtifact(id),
    ...badDiff(id),
    ...badTranscript(id),
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
