import { rm, rmdir, symlink } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import type { Clock, Timer } from '../../clock.ts'
import { ownedDirectories, pathsOf } from '../directories.ts'
import type { Disk } from './disk.ts'
import { type Image, makeImage, mountImage, unmountImage } from './image.ts'
import { type Filled, filledAt } from './space.ts'

/** How often it is looked at: what fails for want of room often gives its room back at once. */
const lookMs = 1000

/** The images of a session. */
export interface Images {
  readonly files: Image
  /** That of /tmp; null: a session that began before there was one has it among its files. */
  readonly tmp: Image | null
}

/**
 * A session's own file systems, in two files, /tmp's and that of all else: the kernel refuses every
 * byte beyond their sizes, whoever writes it. They are mounted while the session is open.
 */
export class ImageDisk implements Disk {
  readonly #root: string
  readonly #images: Images
  readonly #clock: Clock
  #timer: Timer | null = null
  /** Empty before the first look. */
  #last: readonly Filled[] = []
  #hits = 0

  private constructor(o: {
    readonly root: string
    readonly images: Images
    readonly clock: Clock
  }) {
    this.#root = o.root
    this.#images = o.images
    this.#clock = o.clock
  }

  static async open(o: {
    readonly root: string
    readonly images: Images
    /** Whether they are there already. */
    readonly isMade: boolean
    readonly bytesMax: number
    readonly tmpBytesMax: number
    readonly clock: Clock
  }): Promise<ImageDisk> {
    const { root, images, clock } = o
    // That of the files last: where it is, the other one is as well.
    if (!o.isMade && images.tmp !== null) await makeImage(images.tmp, o.tmpBytesMax)
    if (!o.isMade) await makeImage(images.files, o.bytesMax)
    const disk = new ImageDisk({ root, images, clock })
    try {
      for (const image of disk.#each()) await mountImage(image, clock)
      await disk.#showOnHost()
    } catch (error) {
      await disk.close()
      throw error
    }
    disk.#look()
    return disk
  }

  onHost(path: string): string {
    return join(this.#of(path).at, relative(this.#root, path))
  }

  bytes(): number | null {
    if (this.#last.length === 0) return null
    return this.#last.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  hits(): number {
    if (this.#timer !== null) this.#look()
    return this.#hits
  }

  cause(): 'bound' {
    return 'bound'
  }

  watch(): void {
    // The kernel does.
  }

  async close(): Promise<void> {
    this.hits()
    this.#timer?.cancel()
    this.#timer = null
    for (const image of this.#each()) await unmountImage(image, this.#clock)
  }

  async discard(): Promise<boolean> {
    await this.close()
    for (const { at } of this.#each()) await rmdir(at)
    for (const path of ownedDirectories(pathsOf(this.#root))) await rm(path, { force: true })
    // Last: while it is there, opening the session finds what has to be removed.
    for (const { file } of this.#each()) await rm(file, { force: true })
    return true
  }

  /** The image that one of the session's directories is on. */
  #of(path: string): Image {
    const { files, tmp } = this.#images
    return tmp !== null && path === pathsOf(this.#root).tmp ? tmp : files
  }

  /** That of the files last. */
  #each(): Image[] {
    const { files, tmp } = this.#images
    return tmp === null ? [files] : [tmp, files]
  }

  /** Links, so that a person finds the workspace at the path that it has inside. */
  async #showOnHost(): Promise<void> {
    for (const path of ownedDirectories(pathsOf(this.#root))) {
      const target = join(basename(this.#of(path).at), relative(this.#root, path))
      await symlink(target, path).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error
      })
    }
  }

  #look(): void {
    try {
      this.#last = this.#each().map(({ at }) => filledAt(at))
      if (this.#last.some(({ isFull }) => isFull)) this.#hits += 1
    } catch {
      // Somebody took it away under the session: whatever runs there will say so.
    }
    this.#timer?.cancel()
    this.#timer = this.#clock.after(lookMs, () => this.#look())
  }
}
