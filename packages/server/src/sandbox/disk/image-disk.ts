import { rm, rmdir, symlink } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import type { Clock, Timer } from '../../clock.ts'
import { ownedDirectories, pathsOf } from '../directories.ts'
import type { Disk } from './disk.ts'
import { type Image, makeImage, mountImage, unmountImage } from './image.ts'
import { type Filled, filledAt } from './space.ts'

/** How often it is looked at: what fails for want of room often gives its room back at once. */
const lookMs = 1000

/**
 * A session's own file system, in a file: the kernel refuses every byte beyond its size, whoever
 * writes it. It is mounted while the session is open.
 */
export class ImageDisk implements Disk {
  readonly #root: string
  readonly #image: Image
  readonly #clock: Clock
  #timer: Timer | null = null
  /** Null while it is not mounted. */
  #last: Filled | null = null
  #hits = 0

  private constructor(o: { readonly root: string; readonly image: Image; readonly clock: Clock }) {
    this.#root = o.root
    this.#image = o.image
    this.#clock = o.clock
  }

  static async open(o: {
    readonly root: string
    readonly image: Image
    /** Whether there is one already. */
    readonly isMade: boolean
    readonly bytesMax: number
    readonly clock: Clock
  }): Promise<ImageDisk> {
    const { root, image, clock } = o
    if (!o.isMade) await makeImage(image, o.bytesMax)
    await mountImage(image, clock)
    const disk = new ImageDisk({ root, image, clock })
    await disk.#showOnHost()
    disk.#look()
    return disk
  }

  onHost(path: string): string {
    return join(this.#image.at, relative(this.#root, path))
  }

  bytes(): number | null {
    return this.#last?.bytes ?? null
  }

  hits(): number {
    if (this.#timer !== null) this.#look()
    return this.#hits
  }

  watch(): void {
    // The kernel does.
  }

  async close(): Promise<void> {
    this.hits()
    this.#timer?.cancel()
    this.#timer = null
    await unmountImage(this.#image, this.#clock)
  }

  async discard(): Promise<boolean> {
    await this.close()
    await rmdir(this.#image.at)
    for (const path of ownedDirectories(pathsOf(this.#root))) await rm(path, { force: true })
    // Last: while it is there, opening the session finds what has to be removed.
    await rm(this.#image.file, { force: true })
    return true
  }

  /** Links, so that a person finds the workspace at the path that it has inside. */
  async #showOnHost(): Promise<void> {
    for (const path of ownedDirectories(pathsOf(this.#root))) {
      const target = join(basename(this.#image.at), relative(this.#root, path))
      await symlink(target, path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
      })
    }
  }

  #look(): void {
    try {
      this.#last = filledAt(this.#image.at)
      if (this.#last.isFull) this.#hits += 1
    } catch {
      // Somebody took it away under the session: whatever runs there will say so.
    }
    this.#timer?.cancel()
    this.#timer = this.#clock.after(lookMs, () => this.#look())
  }
}
