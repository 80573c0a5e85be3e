import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const imageBytes = 4 * 1024 ** 3
const copiesMax = 10

/** A disk whose power can be cut: an ext4 file system in a file, mounted where `path` is. Needs root. */
export class BlockImage implements Disposable {
  readonly path: string
  readonly #file: string

  constructor(directory: string) {
    this.path = join(directory, 'disk')
    this.#file = join(directory, 'disk.ext4')
    mkdirSync(this.path)
    run('truncate', ['-s', String(imageBytes), this.#file])
    run('mkfs.ext4', ['-q', '-F', this.#file])
    this.#mount()
    chmodSync(this.path, 0o711)
  }

  /**
   * What has reached the disk at this moment, and nothing of what only the page cache had, is all that
   * is there from now on. Everything that writes has to be stopped; `kill` then ends it.
   */
  async cutPower(kill: () => Promise<void>): Promise<void> {
    const copy = `${this.#file}.copy`
    for (let copies = 1; ; copies += 1) {
      run('cp', ['--sparse=always', this.#file, copy])
      // The kernel may write back during a copy; one that it did not touch is of one moment.
      if (spawnSync('cmp', ['-s', this.#file, copy]).status === 0) break
      if (copies >= copiesMax)
        throw new Error('the disk never stood still for as long as a copy takes')
      await sleep(200)
    }
    await kill()
    this.#unmount()
    renameSync(copy, this.#file)
    this.#mount()
  }

  #mount(): void {
    run('mount', ['-o', 'loop', this.#file, this.path])
  }

  /** With what is mounted below it: disks of sessions. */
  #unmount(): void {
    run('umount', ['-l', '-R', this.path])
  }

  [Symbol.dispose](): void {
    this.#unmount()
    rmSync(this.#file)
  }
}

function run(program: string, args: readonly string[]): void {
  const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
  execFileSync(program, args, { stdio: 'pipe', env: { PATH } })
}
