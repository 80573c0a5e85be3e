import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ScriptedModel } from '../src/index.ts'

/** The real claude CLI in a home of its own, with nothing but a scripted model to talk to. */
export interface Claude extends AsyncDisposable {
  readonly home: string
  /** Starts the CLI on one prompt; the output is its stream of JSON lines. */
  start(prompt: string, ...options: string[]): { child: ChildProcess; output: Promise<string> }
  /** The file in which the CLI keeps a conversation. */
  transcript(id: string): string
}

const binary = createRequire(import.meta.url).resolve(
  `@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}/claude`,
)

export async function openClaude(model: ScriptedModel): Promise<Claude> {
  const home = await mkdtemp(join(tmpdir(), 'longhaul-claude-'))
  const { PATH = '' } = process.env
  const env = {
    PATH,
    HOME: home,
    TMPDIR: home,
    CLAUDE_CODE_TMPDIR: home,
    CLAUDE_CONFIG_DIR: join(home, 'config'),
    ANTHROPIC_BASE_URL: model.url,
    ANTHROPIC_API_KEY: model.apiKey,
    IS_SANDBOX: '1',
    DISABLE_AUTOUPDATER: '1',
    DISABLE_TELEMETRY: '1',
  }
  const children = new Set<ChildProcess>()
  return {
    home,
    start(prompt, ...options) {
      const args = ['-p', prompt, '--output-format', 'stream-json', '--verbose', ...options]
      const flags = ['--dangerously-skip-permissions', '--setting-sources', '']
      const stdio = ['ignore', 'pipe', 'inherit'] as const
      const child = spawn(binary, [...args, ...flags], {
        cwd: home,
        env,
        stdio: [...stdio],
        detached: true,
      })
      children.add(child)
      child.once('exit', () => children.delete(child))
      return { child, output: child.stdout === null ? Promise.resolve('') : text(child.stdout) }
    },
    transcript: (id) =>
      join(home, 'config', 'projects', home.replaceAll(/[^a-zA-Z0-9]/g, '-'), `${id}.jsonl`),
    async [Symbol.asyncDispose]() {
      for (const child of children) await kill(child)
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Resolves when the file contains the text; rejects after a minute. */
export async function waitForText(file: string, part: string): Promise<void> {
  const signal = AbortSignal.timeout(60_000)
  while (!(await readFile(file, 'utf8').catch(() => '')).includes(part)) {
    await sleep(20, undefined, { signal })
  }
}

/** Ends the CLI at once, as a crash would. */
export async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}
