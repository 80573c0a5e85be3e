/** What answers cost the server that others write: its one thread, and its memory. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Answers } from '../../src/gateway/answers.ts'
import type { GatewayPolicy } from '../../src/gateway/policy.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { startGateway, startUpstream, type Upstream } from './harness.ts'

const secret = 'canary+of/the=server'
const issues = '/repos/acme/app/issues'
const headers = { host: 'api.github.com' }
const stepBytes = 4 * 1024

function policyOf(upstream: Upstream): Partial<GatewayPolicy> {
  const credential = async () => secret
  const scrubber = new Scrubber([secret])
  return {
    github: {
      ...{ apiUrl: upstream.url, owner: 'acme', repo: 'app', graphql: true },
      ...{ credential, scrubber },
    },
    mcp: [
      {
        ...{ name: 'tickets', url: new URL('/mcp', upstream.url), headers: {} },
        ...{ secretHeaders: {}, secrets: [secret] },
      },
    ],
    allowPrivate: [{ host: '127.0.0.1', port: upstream.port }],
  }
}

/** How often a canary is heard that sings once in each round of the event loop, while `work` lasts. */
async function roundsOf(work: () => Promise<unknown>): Promise<number> {
  let isDone = false
  let rounds = 0
  const count = (async () => {
    for (; !isDone; rounds += 1) await setImmediate()
  })()
  await work().finally(() => {
    isDone = true
  })
  await count
  return rounds
}

test('while answers are searched that may spell anything, all else comes in after each 4 KiB', async () => {
  const text = '\\u0026'.repeat((256 * 1024) / 6)
  await using upstream = await startUpstream((_request, response) => response.end(text))
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const asked = [
    ...Array.from({ length: 8 }, () => ({ path: issues, headers })),
    ...Array.from({ length: 8 }, () => ({ path: '/mcp/tickets', body: '{}' })),
  ]
  const rounds = await roundsOf(async () => {
    const answers = await Promise.all(asked.map((each) => gateway.ask(each)))
    for (const answer of answers) assert.equal(answer.text, text)
  })
  const steps = (asked.length * text.length) / stepBytes
  assert.ok(rounds >= steps, `the canary was heard ${rounds} times in ${steps} steps`)
})

test('while what is sent to GitHub is searched, all else comes in after each 4 KiB', async () => {
  await using upstream = await startUpstream((_request, response) => response.end('{}'))
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const body = JSON.stringify({ query: `{viewer{login}}#${'%5c'.repeat(64 * 1024)}` })
  const asked = Array.from({ length: 8 }, () => ({ path: '/graphql', headers, body }))
  const rounds = await roundsOf(async () => {
    const answers = await Promise.all(asked.map((each) => gateway.ask(each)))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  })
  const steps = (asked.length * body.length) / stepBytes
  assert.ok(rounds >= steps, `the canary was heard ${rounds} times in ${steps} steps`)
})

test('of two sessions each has every second turn, however many answers one of them has', async () => {
  const answers = new Answers()
  const [many, one] = [answers.ofSession(), answers.ofSession()]
  const order: string[] = []
  const asked = [many, many, many, many, one, one].map((session) =>
    session.inTurn(() => order.push(session === many ? 'many' : 'canary')),
  )
  await Promise.all(asked)
  assert.equal(order.join(' '), 'many many canary many canary many')
})

test('a step that fails fails who asked for it, and no other one', async () => {
  const session = new Answers().ofSession()
  const failed = session.inTurn(() => {
    throw new Error('it broke')
  })
  const next = session.inTurn(() => 'done')
  await assert.rejects(failed, /it broke/)
  assert.equal(await next, 'done')
})

test('a session has sixteen answers under way, and is told to come again for one more', async () => {
  const open: ServerResponse[] = []
  const begun = Promise.withResolvers<void>()
  await using upstream = await startUpstream((request, response) => {
    const isNotices = request.method === 'GET' && request.url === '/mcp'
    if (isNotices || open.push(response) > 16) response.end('{}')
    else if (open.length === 16) begun.resolve()
  })
  await using gateway = await startGateway({ policy: policyOf(upstream) })
  const kinds = [
    { path: issues, headers },
    { path: '/mcp/tickets', body: '{}' },
  ]
  const under = Array.from({ length: 8 }, () => kinds.map((each) => gateway.ask(each))).flat()
  const answered = Promise.all(under)
  // Where one more passes, these break.
  answered.catch(() => {})
  await begun.promise
  for (const kind of kinds) {
    const refused = await gateway.ask(kind)
    assert.equal(refused.status, 429, 'the canary got through')
    assert.match(refused.text, /16 answers .* try again when one has ended/)
  }
  // A stream of notices is open for as long as its session is.
  assert.equal((await gateway.ask({ path: '/mcp/tickets', method: 'GET' })).status, 200)
  assert.equal(upstream.requests.length, 17)
  for (const response of open) response.end('{}')
  for (const answer of await answered) assert.equal(answer.status, 200)
  for (const kind of kinds) assert.equal((await gateway.ask(kind)).status, 200)
})
