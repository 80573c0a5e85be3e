import type { Clock } from '../clock.ts'
import {
  makeOwnedDirectories,
  ownedDirectories,
  removeDirectories,
  removeOwnedDirectories,
} from './directories.ts'
import { countFiles } from './disk/count.ts'
import type { Disk } from './disk/disk.ts'
import type {
  ExecOptions,
  ExecResult,
  Sandbox,
  SandboxLimits,
  SandboxPaths,
  SandboxProcess,
  SandboxUsage,
  SpawnOptions,
} from './driver.ts'
import { finish } from './exec.ts'
import { type DiskCause, type Exhausted, firstHit, type LimitHits } from './limits/hits.ts'
import { removeMs } from './limits.ts'
import type { Running } from './running.ts'

/** What differs between drivers. */
export interface Walls {
  readonly gatewayUrl: string
  readonly claudePath: string
  readonly nodePath: string
  readonly uid: number | null
  readonly limits: SandboxLimits
  /** What its files are on; closed by the sandbox, after what runs there. */
  readonly disk: Disk
  usage(): Promise<SandboxUsage>
  limitHits(): LimitHits
  start(command: readonly string[], o: SpawnOptions): Running
  /** Ends what no `Running` knows of any more. */
  killStrays(): Promise<void>
  close(): Promise<void>
}

/** A session's sandbox: keeps count of what runs in it, so that all of it can be ended. */
export class OpenSandbox implements Sandbox {
  readonly paths: SandboxPaths
  readonly gatewayUrl: string
  readonly claudePath: string
  readonly nodePath: string
  readonly uid: number | null
  readonly limits: SandboxLimits
  readonly #walls: Walls
  readonly #clock: Clock
  readonly #live = new Set<Running>()
  #destroyed = false

  constructor(o: { readonly paths: SandboxPaths; readonly walls: Walls; readonly clock: Clock }) {
    this.paths = o.paths
    this.gatewayUrl = o.walls.gatewayUrl
    this.claudePath = o.walls.claudePath
    this.nodePath = o.walls.nodePath
    this.uid = o.walls.uid
    this.limits = o.walls.limits
    this.#walls = o.walls
    this.#clock = o.clock
    o.walls.disk.watch({ count: () => countFiles(this), killLive: () => this.#killLive() })
  }

  spawn(command: readonly string[], o: SpawnOptions): SandboxProcess {
    return this.#start(command, o).process
  }

  async exec(command: readonly string[], o: ExecOptions): Promise<ExecResult> {
    o.signal.throwIfAborted()
    return finish(this.#start(command, o), { ...o, clock: this.#clock })
  }

  usage(): Promise<SandboxUsage> {
    return this.#walls.usage()
  }

  limitHits(): LimitHits {
    return this.#walls.limitHits()
  }

  diskCause(): DiskCause {
    return this.#walls.disk.cause()
  }

  exhausted(since?: LimitHits): Exhausted | null {
    return firstHit(this.limitHits(), since)
  }

  async killAll(): Promise<void> {
    while (this.#live.size > 0) await this.#killLive()
    await this.#walls.killStrays()
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) return
    await this.killAll()
    const { disk } = this.#walls
    if (!(await disk.discard())) {
      // A removal that was cut off may have taken directories that a sandbox needs to start.
      await makeOwnedDirectories({ paths: this.paths, disk, uid: this.uid })
      await this.#removeContents()
      await removeOwnedDirectories(this.paths)
    }
    this.#destroyed = true
    await this.#walls.close()
    await removeDirectories(this.paths)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killAll()
    await this.#walls.disk.close()
    await this.#walls.close()
  }

  /** What runs at this moment; what is started meanwhile is spared. */
  async #killLive(): Promise<void> {
    const live = [...this.#live]
    for (const running of live) running.kill()
    await Promise.all(live.map((running) => running.ended))
  }

  #start(command: readonly string[], o: SpawnOptions): Running {
    if (this.#destroyed) throw new Error(`the sandbox ${this.paths.root} is destroyed`)
    const running = this.#walls.start(command, o)
    this.#live.add(running)
    const forget = (): void => void this.#live.delete(running)
    running.ended.then(forget, forget)
    return running
  }

  /** From inside: names and links there are the agent's, and the server follows none of them. */
  async #removeContents(): Promise<void> {
    const result = await this.exec(
      ['/bin/sh', '-c', removeScript, 'sh', ...ownedDirectories(this.paths)],
      {
        cwd: '/',
        home: 'all',
        network: false,
        timeoutMs: removeMs,
        outputBytesMax: 4096,
        signal: new AbortController().signal,
      },
    )
    if (result.exitCode !== 0)
      throw new Error(`cannot remove the contents of ${this.paths.root}: ${result.stderr}`)
  }
}

/** A directory without permissions cannot be emptied by its owner: give them back first. */
const removeScript = `find "$@" -type d ! -perm -0700 -exec chmod u+rwx {} \\;
find "$@" -mindepth 1 -delete`
