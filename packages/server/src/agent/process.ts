import { pipeline } from 'node:stream'
import type { Options, SpawnedProcess } from '@anthropic-ai/claude-agent-sdk'
import type { Clock } from '../clock.ts'
import type { Sandbox, SandboxProcess } from '../sandbox/driver.ts'
import type { AgentOutput } from './output.ts'

/** Characters of standard error that are kept, its end. */
const stderrCharsMax = 4096

/** How a process ended. */
interface Exit {
  readonly code: number | null
  readonly signal: string | null
  /** The end of its standard error. */
  readonly stderr: string
}

/** The claude process: started by the SDK, through the sandbox, and watched by us. */
export class AgentProcess {
  readonly #sandbox: Sandbox
  readonly #output: AgentOutput
  readonly #exited = Promise.withResolvers<Exit>()
  #process: SandboxProcess | null = null
  #stderr = ''

  constructor(sandbox: Sandbox, output: AgentOutput) {
    this.#sandbox = sandbox
    this.#output = output
  }

  /** For the SDK, which calls it once. */
  readonly spawn: NonNullable<Options['spawnClaudeCodeProcess']> = ({ args, env }) => {
    const given = Object.entries(env).filter((entry): entry is [string, string] => !!entry[1])
    const child = this.#sandbox.spawn([this.#sandbox.claudePath, ...args], {
      cwd: this.#sandbox.paths.workspace,
      env: Object.fromEntries(given),
      network: true,
    })
    this.#process = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrCharsMax)
    })
    child.once('exit', (code, signal) => this.#settle(code, signal))
    child.once('error', (error) => {
      this.#stderr = `${this.#stderr}${error.message}`
      this.#settle(child.exitCode, child.signalCode)
    })
    // However one of them ends, so does the other; how the process ended says its exit.
    pipeline(child.stdout, this.#output, () => undefined)
    return through(child, this.#output)
  }

  /** Resolves when the process is gone, or after `timeoutMs` with null; at once if none was started. */
  async exit(timeoutMs: number, clock: Clock): Promise<Exit | null> {
    if (this.#process === null) return { code: null, signal: null, stderr: this.#stderr }
    const { promise: late, resolve } = Promise.withResolvers<null>()
    using _ = clock.after(timeoutMs, () => resolve(null))
    return await Promise.race([this.#exited.promise, late])
  }

  /** SIGKILL; nothing inside has a say. */
  kill(): void {
    this.#process?.kill('SIGKILL')
  }

  /** Throws away what it printed and nobody will read: a pipe that is full would stay open. */
  discard(): void {
    this.#output.destroy()
  }

  #settle(code: number | null, signal: string | null): void {
    this.#exited.resolve({ code, signal, stderr: this.#stderr.toWellFormed() })
  }
}

/** The process, as the SDK sees it: with another standard output. */
function through(child: SandboxProcess, stdout: AgentOutput): SpawnedProcess {
  return {
    stdin: child.stdin,
    stdout,
    get killed() {
      return child.killed
    },
    get exitCode() {
      return child.exitCode
    },
    get signalCode() {
      return child.signalCode
    },
    kill: (signal) => child.kill(signal),
    on: child.on.bind(child),
    once: child.once.bind(child),
    off: child.off.bind(child),
  }
}
