/** The file of custom tools: each mistake has its own sentence, with its place, and all are told at once. */
import assert from 'node:assert/strict'
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfig } from '../src/config.ts'
import { isReserved } from '../src/tools-file/reserved.ts'
import { http, mistakes, request, server, tool } from './bad-tools.ts'

const directory = mkdtempSync(join(tmpdir(), 'longhaul-tools-'))
after(() => rmSync(directory, { recursive: true }))
writeFileSync(join(directory, 'beside.sh'), 'echo beside')
writeFileSync(join(directory, 'large.sh'), 'x'.repeat(100 * 1024))
symlinkSync('/etc/passwd', join(directory, 'link.sh'))

const env = { TICKETS_TOKEN: 'canary-of-the-tickets', SHORT: 'abc' }

/** The tools of a file with this content; throws as the start of the server would. */
function read(content: unknown, settings: Readonly<Record<string, string>> = {}) {
  const path = join(directory, 'tools.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return loadConfig({ ...env, ...settings, TOOLS_FILE: path }).tools
}

/** The sentences of a refused file. */
function refusal(content: unknown): string[] {
  try {
    read(content)
  } catch (error) {
    assert.ok(error instanceof Error)
    return error.message.split('\n').map((line) => line.trim())
  }
  assert.fail(`accepted: ${JSON.stringify(content)}`)
}

for (const [wrong, sentence] of mistakes) {
  test(`the file is refused for: ${sentence}`, () => {
    const place = sentence.startsWith(':') ? 'tools[1]' : 'tools[1].'
    const [heading, ...sentences] = refusal({ tools: [{ ...tool, name: 'first' }, wrong] })
    assert.deepEqual(sentences, [`${place}${sentence}`])
    assert.match(heading ?? '', /^TOOLS_FILE .*tools\.json has 1 mistake:$/)
  })
}

test('every mistake of a file is told at once, and a name that comes twice is one', () => {
  const [heading, ...sentences] = refusal({
    tools: [
      { ...tool, description: 1, command: { argv: ['sh', '{word} '] }, colour: 'red' },
      { ...tool, http: { url: 'https://example.com/{wrod}' }, command: undefined },
      7,
    ],
    version: 2,
  })
  assert.match(heading ?? '', /has 10 mistakes:$/)
  assert.deepEqual(sentences.sort(), [
    'tools[0].colour: expected no field of this name, came "red".',
    'tools[0].command.argv[1]: expected a placeholder to be the whole argument, came "{word} ".',
    'tools[0].description: expected a text, came 1.',
    'tools[0].input.properties.word: expected a field that the tool uses, came an object.',
    'tools[1].http.method: expected GET or POST or PUT or PATCH or DELETE, came nothing.',
    'tools[1].http.url: expected {wrod} to be a plain field of the input, came "https://example.com/{wrod}".',
    'tools[1].input.properties.word: expected a field that the tool uses, came an object.',
    'tools[1].name: expected a name that no other tool has, came "say_word".',
    'tools[2]: expected an object, came 7.',
    'version: expected no field of this name, came 2.',
  ])
})

test('a file that is none, is no JSON, or has no tools, is refused in a sentence', () => {
  assert.throws(
    () => loadConfig({ TOOLS_FILE: join(directory, 'none.json') }),
    /cannot be read: ENOENT/,
  )
  assert.throws(() => loadConfig({ TOOLS_FILE: directory }), /cannot be read: EISDIR/)
  assert.match(
    refusal('{"tools": [}')[0] ?? '',
    /expected JSON, came something else: Unexpected token/,
  )
  assert.deepEqual(refusal([]).slice(1), ['the file: expected an object, came a list of 0.'])
  assert.deepEqual(refusal({}).slice(1), ['tools: expected a list, came nothing.'])
  assert.deepEqual(refusal({ tools: new Array(65).fill(7) }).slice(1), [
    'tools: expected at most 64 items, came a list of 65.',
  ])
})

test('the names of all built-in tools are reserved', () => {
  const files = globSync(join(import.meta.dirname, '../src/agent/tools/*.ts'))
  const sources = files.map((file) => readFileSync(file, 'utf8')).join('\n')
  const names = [...sources.matchAll(/^ +name: '([a-z_]+)',$/gm)].map(([, name = '']) => name)
  assert.ok(names.includes('report_progress'))
  assert.deepEqual(
    names.filter((name) => !isReserved(name)),
    [],
  )
})

test('what is right is read: files beside it, secrets, bounds, and http where it may go', () => {
  const [first, second, third] = read(
    {
      tools: [
        {
          ...tool,
          timeout_seconds: 5,
          permission_policy: 'always_deny',
          command: { argv: ['sh', '-c', '{file:beside.sh}', 'x', '{word}'] },
        },
        {
          ...request,
          http: {
            ...http,
            url: 'http://tracker.internal:8080/{word}',
            secret_headers: { authorization: { env: 'TICKETS_TOKEN', prefix: 'Bearer ' } },
          },
        },
        server,
      ],
    },
    { GATEWAY_ALLOW_PRIVATE: 'tracker.internal:8080' },
  )
  assert.ok(first?.kind === 'command' && second?.kind === 'http' && third?.kind === 'mcp')
  assert.deepEqual(first.argv[2], { kind: 'text', text: 'echo beside' })
  assert.deepEqual([first.timeoutMs, first.denied, second.denied], [5000, true, false])
  assert.equal(second.secretHeaders['authorization'], 'Bearer canary-of-the-tickets')
  assert.deepEqual(second.secrets, ['canary-of-the-tickets'])
  assert.ok(first.input.safeParse({ word: 'a' }).success)
  for (const wrong of [{}, { word: 1 }, { word: 'a', more: 1 }, { word: 'a'.repeat(16_385) }])
    assert.ok(!first.input.safeParse(wrong).success)
})
