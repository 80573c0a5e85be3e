import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Query, query, type SDKUserMessage } from '@anthropic-ai/claude-agent-sdk'
import type { ScriptedModel } from '@longhaul/testing'

/** The tools of the preset that the server is measured with. */
const tools = ['Bash', 'TaskStop', 'Read', 'Glob', 'Grep', 'Write', 'Edit', 'Agent']

/**
 * One conversation of the Agent SDK as its documentation starts one, without this server: no queue, no
 * sandbox, no gateway, no log; in a clone of `repoUrl`, where that is given. Resolves with the
 * milliseconds from the call to the result.
 */
export async function runBareSdk(
  model: ScriptedModel,
  o: { readonly instructions: string; readonly repoUrl?: string; readonly signal: AbortSignal },
): Promise<number> {
  const { instructions, repoUrl, signal } = o
  const home = await mkdtemp(join(tmpdir(), 'longhaul-bare-'))
  const begun = performance.now()
  const cwd = repoUrl === undefined ? home : join(home, 'clone')
  if (repoUrl !== undefined) {
    await promisify(execFile)('git', ['clone', '--quiet', '--single-branch', repoUrl, cwd])
  }
  const running = openQuery(model, { home, cwd, instructions })
  const stop = (): void => running.close()
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const message of running) {
      if (message.type !== 'result') continue
      if (message.is_error) throw new Error(`the bare SDK failed: ${JSON.stringify(message)}`)
      return performance.now() - begun
    }
    throw new Error('the bare SDK ended without a result')
  } finally {
    signal.removeEventListener('abort', stop)
    running.close()
    await rm(home, { recursive: true, force: true })
  }
}

function openQuery(
  model: ScriptedModel,
  o: { readonly home: string; readonly cwd: string; readonly instructions: string },
): Query {
  return query({
    prompt: once(o.instructions),
    options: {
      cwd: o.cwd,
      tools,
      systemPrompt: { type: 'preset', preset: 'claude_code' },
      settingSources: [],
      permissionMode: 'bypassPermissions',
      allowDangerouslySkipPermissions: true,
      env: {
        PATH: process.env['PATH'],
        HOME: o.home,
        CLAUDE_CONFIG_DIR: o.home,
        ANTHROPIC_BASE_URL: model.url,
        ANTHROPIC_API_KEY: model.apiKey,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
        // Root may bypass permissions only where something says that it protects the host.
        IS_SANDBOX: '1',
      },
    },
  })
}

async function* once(text: string): AsyncGenerator<SDKUserMessage> {
  yield { type: 'user', message: { role: 'user', content: text }, parent_tool_use_id: null }
}
