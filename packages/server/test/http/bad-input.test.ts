import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { badBodies, badFields, badStarts, badTogether } from './bad-orders.ts'
import { badRequests } from './bad-requests.ts'
import { openTestApp, order, type TestApp, workflowOrder } from './fixture.ts'
import { expectRefusal, short } from './refusal.ts'

let server: TestApp
before(async () => {
  server = await openTestApp()
})
after(() => server[Symbol.asyncDispose]())

const inSnakeCase = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const bad = (count: number) => Array.from({ length: count }, () => 1)

for (const [path, base, named] of [
  ['/api/workflows', workflowOrder, (name: string) => name],
  ['/v1/tasks', order, inSnakeCase],
] as const) {
  for (const [field, value, ...says] of [...badFields, ...(badStarts[path] ?? [])]) {
    const name = named(field)
    test(`POST ${path} refuses ${name}: ${short(value)}`, () =>
      expectRefusal(server, {
        send: ['POST', path, { body: { ...base, [name]: value } }],
        status: 400,
        says: [name, ...says],
      }))
  }

  for (const [what, faults] of badTogether) {
    test(`POST ${path} names in one answer ${what}`, async () => {
      const faulty = Object.entries(faults).map(([name, value]) => [named(name), value] as const)
      const body = { ...base, ...Object.fromEntries(faulty) }
      const answer = await server.send('POST', path, { body })
      assert.equal(answer.status, 400)
      const { error } = JSON.parse(await answer.text())
      assert.equal(error.details.error_code, 'invalid_input')
      const named400 = error.details.fields.map((one: { field: string }) => one.field)
      assert.deepEqual(named400.toSorted(), faulty.map(([name]) => name).toSorted())
      for (const name of named400) assert.ok(error.message.includes(`${name}: `))
    })
  }

  test(`POST ${path} never repeats the credentials in a URL`, async () => {
    const bad = { [named('repoUrl')]: 'https://joe:hunter2@github.com/acme/app' }
    const answer = await server.send('POST', path, { body: { ...base, ...bad } })
    assert.equal(answer.status, 400)
    assert.doesNotMatch(await answer.text(), /hunter2|joe/)
  })

  test(`POST ${path} names every bad entry of every list, and what is missing or unknown`, async () => {
    const lists = { setup: bad(20), checks: bad(20), commands: bad(20), labels: bad(20) }
    const [pullRequest, teams] = [named('pullRequest'), named('teamReviewers')]
    const people = { reviewers: bad(15), labels: bad(20), [teams]: bad(15) }
    const faulty = { ...lists, [pullRequest]: people }
    const unknown = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`colour${n}`, n]))
    const ask = async (body: object): Promise<{ field: string; message: string }[]> => {
      const answer = await server.send('POST', path, { body })
      return JSON.parse(await answer.text()).error.details.fields
    }
    const entries = (prefix: string, of: Record<string, number[]>) =>
      Object.entries(of).flatMap(([list, all]) => all.map((_, n) => `${prefix}${list}.${n}`))
    const expected = [...entries('', lists), ...entries(`${pullRequest}.`, people)]
    assert.equal(expected.length, 130)
    expected.push('type', named('repoUrl'), 'instructions', 'colour0', 'colour1')
    const names = (await ask({ ...faulty, ...unknown(2) })).map(({ field }) => field)
    assert.deepEqual(new Set(names), new Set(expected))

    const cut = await ask({ ...faulty, ...unknown(300) })
    assert.equal(cut.length, 201)
    const more = names.length + 298 - 200
    assert.deepEqual(cut.at(-1), {
      field: 'body',
      message: `${more} more bad fields are not named here`,
    })
  })

  test(`GET ${path} says one thing of a search without words`, async () => {
    for (const q of ['', '%20', '!', 'a%00']) {
      const answer = await server.send('GET', `${path}?q=${q}`)
      const { fields } = JSON.parse(await answer.text()).error.details
      assert.deepEqual(
        fields.map(({ field }: { field: string }) => field),
        ['q'],
      )
    }
  })

  for (const [what, sent, ...says] of badBodies(base)) {
    test(`POST ${path} refuses ${what}`, () =>
      expectRefusal(server, { send: ['POST', path, sent], status: 400, says }))
  }
}

async function endedTask(): Promise<string> {
  const { id } = await server.order()
  assert.equal((await server.send('POST', `/v1/tasks/${id}/cancel`)).status, 200)
  return id
}

test('an edit that would make an order bad is refused as that order is, naming every field', async (t) => {
  const path = `/v1/tasks/${await endedTask()}/retry`
  const tables = [...badFields, ...(badStarts['/v1/tasks'] ?? [])]
  // Nothing and null edit nothing, or take a field away.
  const edits = tables.filter(([, value]) => value !== undefined && value !== null)
  for (const [field, value, ...says] of edits) {
    const name = inSnakeCase(field)
    await t.test(`${name}: ${short(value)}`, () =>
      expectRefusal(server, {
        send: ['POST', path, { body: { [name]: value } }],
        status: 400,
        says: [name, ...says],
      }),
    )
  }
  for (const [what, faults] of badTogether) {
    const faulty = Object.entries(faults).map(([name, value]) => [inSnakeCase(name), value])
    const given = faulty.filter(([, value]) => value !== undefined && value !== null)
    await t.test(`in one answer ${what}`, async () => {
      const answer = await server.send('POST', path, { body: Object.fromEntries(given) })
      assert.equal(answer.status, 400)
      const { fields } = JSON.parse(await answer.text()).error.details
      const named = fields.map((one: { field: string }) => one.field)
      assert.deepEqual(named.toSorted(), given.map(([name]) => name).toSorted())
    })
  }
})

test('every route refuses what is not for it, and says what came', async (t) => {
  const { id, session_id: sessionId } = await server.order()
  for (const row of badRequests({ id, sessionId, endedId: await endedTask() })) {
    const [method, path, sent] = row.send
    const what = sent === undefined ? '' : ` with ${short(sent)}`
    await t.test(`${method} ${short(path)}${what} → ${row.status}`, () =>
      expectRefusal(server, row),
    )
  }
})
