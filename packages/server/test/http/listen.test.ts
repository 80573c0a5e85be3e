import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { listen } from '../../src/http/listen.ts'
import { until } from '../support/until.ts'
import { openTestApp, type TestApp } from './fixture.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

const anywhere = { host: '127.0.0.1', port: 0, clock: systemClock }

/** Sends bytes and answers everything that comes back. */
async function raw(url: string, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.write(text)
  await once(socket, 'close')
  return answer
}

test('the server answers over a socket, and leaves the global Request and Response alone', async () => {
  const globals = [Request, Response]
  await using web = await listen(server.app, anywhere)
  const answer = await fetch(`${web.url}/livez`)
  assert.deepEqual(await answer.json(), { status: 'alive' })
  assert.deepEqual([Request, Response], globals)
})

for (const text of [
  'HELLO\r\n\r\n',
  'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n',
  'GET /livez HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
]) {
  test(`what is not HTTP is refused in the same envelope: ${JSON.stringify(text.slice(0, 40))}`, async () => {
    await using web = await listen(server.app, anywhere)
    const answer = await raw(web.url, text)
    assert.match(answer, /^HTTP\/1.1 400 /)
    const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    assert.equal(body.error.type, 'invalid_request_error')
    assert.match(body.request_id, /^req_/)
  })
}

test('a target or headers beyond 16 KiB are refused for what they are', async () => {
  await using web = await listen(server.app, anywhere)
  const long = 'y'.repeat(20_000)
  for (const [query, header] of [
    [long, ''],
    ['', `x-long: ${long}\r\n`],
  ]) {
    const head = `GET /v1/tasks?q=${query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${header}\r\n`
    const answer = await raw(web.url, head)
    assert.match(answer, /^HTTP\/1.1 431 /)
    const { error, request_id: requestId } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')))
    assert.equal(error.type, 'invalid_request_error')
    assert.match(error.message, /target and headers .* at most 16384 bytes/)
    assert.match(requestId, /^req_/)
  }
})

test('a body without a length is counted as it comes: 1 MiB and no more', async () => {
  await using web = await listen(server.app, anywhere)
  const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`
  const head = `POST /v1/tasks HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${server.key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
  assert.match(await raw(web.url, `${head}${chunk.repeat(17)}0\r\n\r\n`), /^HTTP\/1.1 413 /)
  assert.match(
    await raw(web.url, `${head}${chunk.repeat(15)}2\r\n{}\r\n0\r\n\r\n`),
    /^HTTP\/1.1 400 /,
  )
})

test('a large body without a key is refused before it is read', async () => {
  await using web = await listen(server.app, anywhere)
  const head =
    'POST /v1/tasks HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 900000\r\n\r\n'
  assert.match(await raw(web.url, head), /^HTTP\/1.1 401 /)
})

test('of requests in one packet one is read', async () => {
  await using web = await listen(server.app, anywhere)
  const answers = await raw(web.url, 'GET /livez HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(100))
  assert.ok(answers.split('HTTP/1.1 ').length <= 2, answers)
})

test('a body in thousands of tiny pieces ends its connection', async () => {
  await using web = await listen(server.app, anywhere)
  const head = `POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`
  assert.equal(await raw(web.url, `${head}${'1\r\n \r\n'.repeat(2000)}2\r\n{}\r\n0\r\n\r\n`), '')
})

test('an address that is taken is an error', async () => {
  await using web = await listen(server.app, anywhere)
  const { port } = new URL(web.url)
  await assert.rejects(listen(server.app, { ...anywhere, port: Number(port) }), /EADDRINUSE/)
})

test('closing waits for the running request and takes no new one', async () => {
  const web = await listen(server.app, anywhere)
  const { port } = new URL(web.url)
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  const head = `POST /v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${server.key}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n`
  socket.write(head)
  await until('the request to be running', () => answer.includes(' 100 Continue\r\n\r\n'))
  const closed = web[Symbol.asyncDispose]()
  socket.write('{}')
  await Promise.all([closed, once(socket, 'close')])
  assert.match(answer, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 400 /)
  await assert.rejects(fetch(`${web.url}/livez`))
})
