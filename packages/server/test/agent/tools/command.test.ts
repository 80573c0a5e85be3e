import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { commandTool, type RunCommand } from '../../../src/agent/tools/custom/command.ts'
import { inputCheck } from '../../../src/tools-file/input.ts'
import { connectTools } from './client.ts'

/** A real process, without the sandbox. */
const run: RunCommand = async ([program = '', ...more], { env, signal }) => {
  const { stdout, stderr } = await promisify(execFile)(program, more, { env, signal })
  return { exitCode: 0, stdout, stderr, timedOut: false, truncated: false, durationMs: 0 }
}

const count = commandTool(
  {
    ...{ kind: 'command', name: 'count', description: 'Counts words.', stdin: false },
    ...{ denied: false, readOnly: true, timeoutMs: 10_000, env: {}, network: false },
    input: inputCheck({
      type: 'object',
      properties: { words: { type: 'array', items: { type: 'string' } } },
      required: ['words'],
    }),
    argv: [
      ...['/bin/sh', '-c', 'echo $#', 'count'].map((text) => ({ kind: 'text', text }) as const),
      { kind: 'field', name: 'words' },
    ],
  },
  run,
)

test('what is too large for a process is refused in a sentence; what is just not is passed', async () => {
  await using tools = await connectTools([count])
  const words = (length: number) => ({ words: Array<string>(100).fill('€'.repeat(length)) })
  assert.match(await tools.call('count', words(3490)), /^100\n/)
  assert.match(
    await tools.call('count', words(16_384)),
    /^error: The arguments of count are too large together: expected at most \d+ bytes, came 49152\d\d\.$/,
  )
})
