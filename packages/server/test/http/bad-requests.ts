/** What is wrong with requests that are no orders, route by route: a table of bad-input.test.ts. */
import { bad, badJson, badLimits, type Made, missing, wrongMethod } from './bad-rows.ts'
import { badSessions } from './bad-sessions.ts'
import { badTasks } from './bad-tasks.ts'
import type { Row } from './refusal.ts'

export function badRequests(made: Made): Row[] {
  return [
    ...badTasks(made),
    ...badSessions(made),
    ...badRepositories,
    ...badJson('/v1/repositories'),
    ...badRoute,
  ]
}

const unknownRepository = 'repo_00000000000000000000000000'

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
