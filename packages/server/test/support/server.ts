import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ServerApi, testKey } from './server-api.ts'

/** The launcher's: what is compiled once need not be again. */
const compileCache = join(import.meta.dirname, '../../../../node_modules/.cache/longhaul/compiled')

/** The server as its operator runs it: a process of its own, reached over HTTP. */
export class ServerProcess extends ServerApi implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: readonly string[]

  private constructor(child: ChildProcess, url: string, lines: readonly string[]) {
    super(url)
    this.#child = child
    this.#lines = lines
  }

  /** Resolves when it listens; rejects with what it printed when it ends before that. */
  static async start(
    settings: Readonly<Record<string, string>>,
    command: 'serve' | 'work' = 'serve',
  ): Promise<ServerProcess> {
    const cli = join(import.meta.dirname, '../../src/cli.ts')
    const child = spawn(process.execPath, ['--conditions=longhaul', cli, command], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: '/nonexistent',
        NODE_COMPILE_CACHE: compileCache,
        PORT: '0',
        LOG_LEVEL: 'info',
        LONGHAUL_API_KEY: testKey,
        ...settings,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const lines: string[] = []
    const listening = Promise.withResolvers<string>()
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        const url = /^listening on (\S+)$/.exec(line)?.[1]
        if (url !== undefined) listening.resolve(url)
      })
    }
    child.once('close', (code) =>
      listening.reject(new Error(`the server ended with ${code}: ${lines.join('\n')}`)),
    )
    return new ServerProcess(child, await listening.promise, lines)
  }

  /** Everything it has printed. */
  get output(): string {
    return this.#lines.join('\n')
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** `kill -9`, and the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM, as a supervisor stops it; its exit code. */
  async stop(): Promise<number | null> {
    await this.#end('SIGTERM')
    return this.#child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.isOver) return
    const closed = once(this.#child, 'close')
    this.#child.kill(signal)
    await closed
  }
}
