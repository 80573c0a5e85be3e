/** What is wrong with requests about sessions and their logs: a table of bad-input.test.ts. */
import {
  bad,
  badJson,
  badLimits,
  type Made,
  missing,
  rfc3339,
  unknownSession,
  unknownTask,
  wrongMethod,
} from './bad-rows.ts'
import type { Row } from './refusal.ts'

export function badSessions(made: Made): Row[] {
  return [...badSession(made), ...badEvents(made), ...badStream(made)]
}

function badSession({ sessionId }: Made): Row[] {
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
