import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerProcess } from '../support/server.ts'

const startTriesMax = 20
const startAgainMs = 1000
/** Room that a disk of its own has beside what a node that has just started takes. */
const roomBytes = 512 * 1024 * 1024
const diskBytesMax = 2 * 1024 ** 3
const spareBytesStep = 256 * 1024
const spareBytesMax = 16 * 1024 * 1024

/** A server with a worker, which a break may kill, stop for a while, or take the disk from. */
export class Node implements AsyncDisposable {
  readonly name: string
  readonly dataDir: string
  readonly #shared: Readonly<Record<string, string>>
  readonly #disk: string | null
  #server: ServerProcess | null = null
  #isStopped = false

  constructor(o: {
    readonly name: string
    readonly path: string
    readonly shared: Readonly<Record<string, string>>
    readonly hasDisk?: boolean
  }) {
    this.name = o.name
    this.#shared = o.shared
    this.#disk = o.hasDisk === true ? join(o.path, 'disk') : null
    this.dataDir = this.#disk ?? o.path
    if (this.#disk === null) return
    mkdirSync(this.#disk)
    mount(['-t', 'tmpfs', '-o', `size=${diskBytesMax},mode=711`, 'tmpfs', this.#disk])
    chmodSync(this.#disk, 0o711)
  }

  /** Null while it is killed or stopped. */
  get server(): ServerProcess | null {
    return this.#isStopped ? null : this.#server
  }

  get hasDisk(): boolean {
    return this.#disk !== null
  }

  /** A node that cannot start, because PostgreSQL is away, is started again by its supervisor. */
  async start(): Promise<void> {
    const settings = { ...this.#shared, DATA_DIR: this.dataDir }
    for (let tries = 1; ; tries += 1) {
      try {
        this.#server = await ServerProcess.start(settings)
        return
      } catch (error) {
        if (tries >= startTriesMax) throw error
        await sleep(startAgainMs)
      }
    }
  }

  async kill(): Promise<void> {
    const server = this.#server
    this.#server = null
    await server?.kill()
  }

  /** Whatever ends it, it comes back. */
  async revive(): Promise<void> {
    if (this.#server !== null && !this.#server.isOver) return
    await this.start()
  }

  /** SIGSTOP: it does nothing, and does not know it. */
  freeze(): void {
    if (this.#server === null) return
    this.#isStopped = true
    process.kill(this.#server.pid, 'SIGSTOP')
  }

  thaw(): void {
    if (this.#server !== null && !this.#server.isOver) process.kill(this.#server.pid, 'SIGCONT')
    this.#isStopped = false
  }

  /** Nothing more can be written: the disk is as large as what it holds. */
  fill(): void {
    if (this.#disk === null) throw new Error(`${this.name} has no disk of its own`)
    // What is written meanwhile makes a size too small: the next one is larger.
    for (let spareBytes = 0; ; spareBytes += spareBytesStep) {
      const { bsize, blocks, bfree } = statfsSync(this.#disk)
      try {
        this.#resize(bsize * (blocks - bfree) + spareBytes)
        return
      } catch (error) {
        if (spareBytes > spareBytesMax) throw error
      }
    }
  }

  clear(): void {
    if (this.#disk === null) return
    const { bsize, blocks, bfree } = statfsSync(this.#disk)
    this.#resize(bsize * (blocks - bfree) + roomBytes)
  }

  #resize(bytes: number): void {
    mount(['-o', `remount,size=${bytes}`, this.#disk ?? ''])
  }

  /** What the process holds: open descriptors, and resident memory in MiB. Null: it is not there. */
  holds(): { readonly descriptors: number; readonly residentMib: number } | null {
    const pid = this.#server?.pid
    if (pid === undefined) return null
    const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return {
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      residentMib: Math.round(Number(kib) / 1024),
    }
  }

  async stop(): Promise<void> {
    this.thaw()
    await this.#server?.stop()
    this.#server = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.clear()
    await this.stop()
    if (this.#disk !== null) execFileSync('umount', ['-l', this.#disk])
  }
}

function mount(args: readonly string[]): void {
  execFileSync('mount', args, { stdio: 'pipe' })
}
