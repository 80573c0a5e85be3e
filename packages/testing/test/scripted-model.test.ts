/** The scripted model as any client of the Messages API meets it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ScriptedModel, Step } from '../src/index.ts'
import { say, script, startScriptedModel, think, together, use, when } from '../src/index.ts'

type Message = { role: string; content: string | object[] }
const user = (...content: object[]): Message => ({ role: 'user', content })
const text = (words: string) => ({ type: 'text', text: words })
const result = (id: string, content: string, more: object = {}) => ({
  type: 'tool_result',
  tool_use_id: id,
  content,
  ...more,
})
const tools = [{ name: 'Bash' }]

async function ask(model: ScriptedModel, messages: Message[], more: object = {}) {
  const body = { model: 'claude-test', max_tokens: 1000, tools, messages, ...more }
  return await fetch(`${model.url}/v1/messages?beta=true`, {
    method: 'POST',
    headers: { 'x-api-key': model.apiKey },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  })
}

/** The message with which the model answers, put into the conversation's next place. */
async function next(model: ScriptedModel, messages: Message[], more: object = {}) {
  const response = await ask(model, messages, more)
  const { role, content, ...rest } = JSON.parse(await response.text())
  messages.push({ role, content })
  return { content, ...rest }
}

const once = async (step: Step) =>
  await startScriptedModel({ scenarios: [script(when('', step))], apiKey: 'secret' })

test('a request without the key is answered 401, with it in either header 200', async () => {
  await using model = await once(say('Hello.'))
  const body = JSON.stringify({ model: 'm', max_tokens: 1, messages: [user(text('Hi'))] })
  const status = async (headers: Record<string, string>) =>
    (await fetch(`${model.url}/v1/messages`, { method: 'POST', headers, body })).status
  assert.equal(await status({}), 401)
  assert.equal(await status({ 'x-api-key': 'wrong' }), 401)
  assert.equal(await status({ 'x-api-key': 'secret' }), 200)
  assert.equal(await status({ authorization: 'Bearer secret' }), 200)
})

test('a stream carries the blocks in order and the token counts at both ends', async () => {
  const usage = { input_tokens: 10, output_tokens: 20, cache_read_input_tokens: 30 }
  const step = together(
    think('I consider.'),
    say('Running it.'),
    use('Bash', { command: 'npm test' }, { usage }),
  )
  await using model = await once(step)
  const response = await ask(model, [user(text('Go'))], { stream: true })
  assert.equal(response.headers.get('content-type'), 'text/event-stream')
  const events = (await response.text())
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => JSON.parse(line.slice(6)))
  const types = events.map((event) => event.type).filter((type) => !type.endsWith('_delta'))
  const block = ['content_block_start', 'content_block_stop']
  const expected = ['message_start', 'ping', ...block, ...block, ...block, 'message_stop']
  assert.deepEqual(types, expected)
  const starts = events.filter((event) => event.type === 'content_block_start')
  const kinds = starts.map((event) => event.content_block.type)
  assert.deepEqual(kinds, ['thinking', 'text', 'tool_use'])
  const json = events.map((event) => event.delta?.partial_json ?? '').join('')
  assert.deepEqual(JSON.parse(json), { command: 'npm test' })
  assert.equal(events[0].message.usage.cache_read_input_tokens, 30)
  const end = events.find((event) => event.type === 'message_delta')
  assert.equal(end.delta.stop_reason, 'tool_use')
  assert.deepEqual(end.usage, { ...usage, cache_creation_input_tokens: 0 })
})

test('a script follows the conversation and begins another rule at a later message', async () => {
  await using model = await startScriptedModel({
    scenarios: [
      script(
        when('mend', use('Bash', { command: 'one' }), ({ lastResults: [first] }) =>
          say(`${first?.name} ${first?.isError ? 'failed' : 'said'} ${first?.text}`),
        ),
        when(/check failed/i, use('Bash', { command: 'two' }), say('Mended again.')),
      ),
    ],
  })
  const messages = [user(text('<system-reminder>\nmend\n</system-reminder>'), text('Please mend.'))]
  const [call] = (await next(model, messages)).content
  assert.equal(call.input.command, 'one')
  messages.push(user(result(call.id, 'boom', { is_error: true })))
  assert.equal((await next(model, messages)).content[0].text, 'Bash failed boom')
  messages.push(user(text('Check failed: npm test')))
  const [again] = (await next(model, messages)).content
  assert.equal(again.input.command, 'two')
  messages.push(user(result(again.id, 'ok')))
  assert.equal((await next(model, messages)).content[0].text, 'Mended again.')
  messages.push(user(text('Anything else?')))
  assert.equal((await next(model, messages)).content[0].text, 'Mended again.')
  assert.deepEqual([model.duplicateTurns(), model.violations], [0, []])
})

test('a message that came in the middle of a turn is heard, other system messages are not', async () => {
  let heard: readonly string[] = []
  const steps = script(when('start', say('One.'), say('Two.')), when('steer', say('Steered.')))
  await using model = await startScriptedModel({
    scenarios: [
      (conversation) => {
        heard = conversation.userTexts
        return steps(conversation)
      },
    ],
  })
  const messages: Message[] = [user(text('start')), { role: 'system', content: '# steer' }]
  assert.equal((await next(model, messages)).content[0].text, 'One.')
  const words = 'The user sent a new message while you were working:\nsteer left\n\nThis is how'
  messages.push(user(text('go on')), { role: 'system', content: `${words} Claude Code …` })
  assert.equal((await next(model, messages)).content[0].text, 'Steered.')
  assert.equal(model.requests.at(-1)?.lastUserText, 'steer left')
  const frame = (said: string) =>
    `The user sent a new message while you were working:\n${said}\n\nThis is how Claude Code … turn.`
  messages.push(user(text('and')), {
    role: 'system',
    content: `${frame('steer up')}\n\n${frame('then down')}`,
  })
  await next(model, messages)
  assert.deepEqual(heard.slice(-2), ['steer up', 'then down'])
})

test('a turn is a duplicate when its delivered answer is missing from a later request', async () => {
  await using model = await startScriptedModel({
    scenarios: [script(when('', use('Bash', { command: 'x' }), say('Done.')))],
  })
  const metadata = { user_id: JSON.stringify({ session_id: 'one' }) }
  const messages = [user(text('Work'))]
  const [call] = (await next(model, messages, { metadata })).content
  messages.push(user(result(call.id, 'fine')))
  await next(model, messages, { metadata })
  assert.equal(model.duplicateTurns(), 0)

  // The same words in another session are another conversation.
  const other = { metadata: { user_id: JSON.stringify({ session_id: 'two' }) } }
  await next(model, [user(text('Work'))], other)
  assert.equal(model.duplicateTurns(), 0)

  // The last answer is lost: after the CLI's placeholder the same turn is asked for.
  const placeholder = { role: 'assistant', content: [text('No response requested.')] }
  const short = [...messages.slice(0, 3), placeholder, user(text('Go on'))]
  await next(model, short, { metadata })
  assert.deepEqual(model.duplicates, [{ conversation: 'one', turn: 1, acknowledged: false }])
  assert.equal(model.requests.at(-1)?.triesBefore, 1)

  // All is lost: the first turn, which was known to be stored, and the second for a second time.
  await next(model, [user(text('Work'))], { metadata })
  assert.deepEqual(model.duplicates.slice(1), [
    { conversation: 'one', turn: 0, acknowledged: true },
    { conversation: 'one', turn: 1, acknowledged: false },
  ])
})

test('a cut-off tool call is a new turn, which gives the step again', async () => {
  await using model = await startScriptedModel({
    scenarios: [script(when('', use('Bash', { command: 'x' }), say('Done.')))],
  })
  const messages = [user(text('Work'))]
  const [call] = (await next(model, messages)).content
  const cut = "[Tool call interrupted: the session ended before this call's result was recorded]"
  messages.push(user(result(call.id, cut, { is_error: true }), text('The worker restarted.')))
  const [again] = (await next(model, messages)).content
  assert.equal(again.input.command, 'x')
  messages.push(user(result(again.id, 'fine')))
  assert.equal((await next(model, messages)).content[0].text, 'Done.')
  assert.equal(model.duplicateTurns(), 0)
})

test('what the real API refuses is refused and noted', async () => {
  await using model = await once(say('Hello.'))
  const call = { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: {} }
  const answered = { role: 'assistant', content: [call] }
  const hi = user(text('Hi'))
  const cases: [Message[], object, RegExp][] = [
    [[hi], { model: '' }, /a model is required/],
    [[hi], { max_tokens: 0 }, /a positive number/],
    [[], {}, /at least one message/],
    [[hi, hi], {}, /the role is user, not assistant/],
    [[hi, answered], {}, /the last message is not/],
    [[hi, answered, hi], {}, /tool_use toolu_1 has no tool_result/],
    [[user(result('toolu_2', ''))], {}, /tool_result toolu_2 has no tool_use/],
  ]
  for (const [messages, more, expected] of cases) {
    const response = await ask(model, messages, more)
    assert.equal(response.status, 400)
    assert.match(await response.text(), expected)
    assert.match(model.violations.at(-1) ?? '', expected)
  }
  const { length } = model.violations
  assert.equal((await ask(model, [hi, answered, user(result('toolu_1', ''))])).status, 200)
  assert.equal(model.violations.length, length)
})

test('faults happen as often as they should, then the answer comes', async () => {
  const fault = { kind: 'status', status: 529, retryAfterS: 3, times: 2 } as const
  await using model = await once(say('At last.', { fault }))
  const messages = [user(text('Go'))]
  const refused = await ask(model, messages)
  assert.equal(refused.status, 529)
  assert.equal(refused.headers.get('retry-after'), '3')
  assert.equal(JSON.parse(await refused.text()).error.type, 'overloaded_error')
  assert.equal((await ask(model, messages)).status, 529)
  assert.equal((await next(model, messages)).content[0].text, 'At last.')
  assert.equal(model.duplicateTurns(), 0)
})

test('a stream can be cut, and hang before or after its beginning, until the model closes', async () => {
  const cutting = await once(say('Never whole.', { fault: { kind: 'cut' } }))
  const cut = await ask(cutting, [user(text('Go'))], { stream: true })
  await assert.rejects(cut.text(), /terminated/)
  assert.equal(cutting.requests[0]?.outcome, 'broken')
  await cutting.close()
  for (const where of ['headers', 'stream'] as const) {
    const model = await once(say('Never whole.', { fault: { kind: 'hang', where } }))
    const hung = ask(model, [user(text('Go'))], { stream: true }).then((answer) => answer.text())
    await model.waitFor(({ outcome }) => outcome === 'pending')
    await Promise.all([assert.rejects(hung), model.close()])
    await model.waitFor(({ outcome }) => outcome === 'aborted')
  }
})

test('an answer is held until its promise resolves, and a client that leaves ends it', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  await using model = await once(say('Held.', { until: promise, delayMs: 1 }))
  const leave = new AbortController()
  const request = { method: 'POST', headers: { 'x-api-key': 'secret' }, signal: leave.signal }
  const body = { model: 'm', max_tokens: 1, tools, messages: [user(text('Go'))] }
  const left = fetch(`${model.url}/v1/messages`, { ...request, body: JSON.stringify(body) })
  await model.waitFor(({ outcome }) => outcome === 'pending')
  leave.abort()
  await assert.rejects(left, { name: 'AbortError' })
  await model.waitFor(({ outcome }) => outcome === 'aborted')
  const held = ask(model, [user(text('Go'))])
  await model.waitFor(({ triesBefore }) => triesBefore === 1)
  resolve()
  assert.match(await (await held).text(), /Held\./)
  assert.equal(model.duplicateTurns(), 0)
})

test('side calls of a client are answered and are no turns', async () => {
  await using model = await once(say('Hello.'))
  const title = await ask(model, [user(text('Write the title'))], { tools: [] })
  assert.match(await title.text(), /\{\\"title\\":/)
  const counted = await fetch(`${model.url}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'x-api-key': 'secret' },
    body: '{"messages":[]}',
  })
  assert.equal(JSON.parse(await counted.text()).input_tokens, 4)
  assert.equal((await fetch(`${model.url}/api/hello`)).status, 200)
  assert.deepEqual(
    model.requests.map(({ kind }) => kind),
    ['side'],
  )
})

test('a mistake in a scenario fails the request at once and is noted', async () => {
  const scenario = () => {
    throw new Error('no such step')
  }
  await using model = await startScriptedModel({ scenarios: [scenario] })
  assert.equal((await ask(model, [user(text('Go'))])).status, 400)
  assert.deepEqual(model.violations, ['scenario: Error: no such step'])
  await assert.rejects(
    model.waitFor(() => false, 10),
    /no such request within 10 ms/,
  )
})
