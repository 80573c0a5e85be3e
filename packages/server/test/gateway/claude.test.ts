import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { say, script, startScriptedModel, use, when } from '@longhaul/testing'
import { startBridge, startGateway } from './harness.ts'

const binary = createRequire(import.meta.url).resolve(
  `@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}/claude`,
)

/** The real CLI, as it runs in a sandbox: a placeholder for a key, the gateway for a model. */
async function runClaude(url: string, prompt: string): Promise<{ code: number; output: string }> {
  const home = await mkdtemp(join(tmpdir(), 'longhaul-claude-'))
  try {
    const { PATH = '' } = process.env
    const child = spawn(binary, ['-p', prompt, '--dangerously-skip-permissions'], {
      cwd: home,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 110_000,
      killSignal: 'SIGKILL',
      env: {
        PATH,
        HOME: home,
        TMPDIR: home,
        CLAUDE_CONFIG_DIR: join(home, 'config'),
        CLAUDE_CODE_TMPDIR: home,
        ANTHROPIC_BASE_URL: `${url}/anthropic`,
        ANTHROPIC_API_KEY: 'placeholder',
        IS_SANDBOX: '1',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      },
    })
    const [[code], ...output] = await Promise.all([
      once(child, 'close'),
      text(child.stdout),
      text(child.stderr),
    ])
    return { code: Number(code ?? 1), output: output.join('') }
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

test('the real claude works through the gateway, and each of its turns is metered', async () => {
  await using model = await startScriptedModel({
    scenarios: [script(when('count', use('Bash', { command: 'echo 4711' }), say('It is 4711.')))],
    apiKey: 'real-key',
  })
  await using gateway = await startGateway({
    policy: { model: { baseUrl: new URL(model.url), headers: { 'x-api-key': 'real-key' } } },
    limitUsd: 5,
  })
  await using bridge = await startBridge(gateway.socketPath)
  const { code, output } = await runClaude(bridge.url, 'count')
  assert.equal(code, 0, output)
  assert.match(output, /It is 4711/)
  assert.deepEqual([model.violations, gateway.denials, gateway.refusals], [[], [], []])
  assert.equal(gateway.uses.length, model.requests.length)
  assert.ok(gateway.uses.every((use) => use.costUsd > 0 && use.usage.input_tokens > 0))
})

test('the real claude stops at once when the budget is spent', async () => {
  await using model = await startScriptedModel({ scenarios: [], apiKey: 'real-key' })
  await using gateway = await startGateway({
    policy: { model: { baseUrl: new URL(model.url), headers: { 'x-api-key': 'real-key' } } },
    limitUsd: 1,
    spentUsd: 1,
  })
  await using bridge = await startBridge(gateway.socketPath)
  const { output } = await runClaude(bridge.url, 'count')
  assert.match(output, /budget of this session is spent/)
  assert.equal(gateway.refusals[0]?.why, 'budget')
  assert.equal(model.requests.length, 0)
})
