import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import type { SandboxLimits, SandboxUsage } from '../driver.ts'
import { killMs } from '../limits.ts'
import { identify, killIfAlive } from '../process-table.ts'
import { type CgroupFiles, codeOf } from './cgroup-files.ts'
import { cgroup1 } from './cgroup1.ts'
import { cgroup2 } from './cgroup2.ts'
import type { GroupVersion } from './group-version.ts'
import type { Hierarchy } from './hierarchies.ts'
import { addHits, type LimitHits, noHits } from './hits.ts'

/** A session's directory in one tree. */
interface Part {
  readonly directory: string
  readonly hierarchy: Hierarchy
  readonly version: GroupVersion
}

/**
 * The control group of one session: all that its sandbox starts counts together. It is a group in
 * every tree that has a controller we need.
 */
export class SessionGroup {
  readonly #parts: readonly Part[]
  readonly #files: CgroupFiles
  readonly #clock: Clock
  /** What the group said last: it is asked after it is gone, too. */
  #hits: LimitHits = noHits
  #usage: Partial<SandboxUsage> = {}
  #removing: Promise<void> | null = null

  private constructor(parts: readonly Part[], o: { files: CgroupFiles; clock: Clock }) {
    this.#parts = parts
    this.#files = o.files
    this.#clock = o.clock
  }

  /** Makes the group with its limits. Rejects, and leaves nothing, when the kernel refuses one. */
  static async make(o: {
    readonly name: string
    readonly hierarchies: readonly Hierarchy[]
    readonly limits: SandboxLimits
    readonly files: CgroupFiles
    readonly clock: Clock
  }): Promise<SessionGroup> {
    const parts = o.hierarchies.map((hierarchy) => ({
      directory: join(hierarchy.own, o.name),
      hierarchy,
      version: hierarchy.version === 1 ? cgroup1 : cgroup2,
    }))
    const group = new SessionGroup(parts, o)
    try {
      for (const part of parts) await group.#makePart(part, o.limits)
    } catch (error) {
      await group.remove()
      throw error
    }
    return group
  }

  /**
   * Moves a process into the group; what it starts is born there. One that is gone already is fine.
   * Rejects when it could not be moved, and then it must not go on.
   */
  async enter(pid: number): Promise<void> {
    await Promise.all(
      this.#parts.map(({ directory }) =>
        this.#files.write(join(directory, 'cgroup.procs'), String(pid)).catch((error: unknown) => {
          if (codeOf(error) !== 'ESRCH') throw error
        }),
      ),
    )
  }

  hits(): LimitHits {
    try {
      this.#hits = this.#parts
        .map(({ directory, hierarchy, version }) =>
          version.hits(directory, hierarchy.controllers, this.#files),
        )
        .reduce(addHits, noHits)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENODEV') throw error
      // The group is gone: what it said last stays.
    }
    return this.#hits
  }

  async usage(): Promise<Partial<SandboxUsage>> {
    if (this.#removing !== null) return this.#usage
    return this.#readUsage()
  }

  /** Ends what is left in the group and removes it. Rejects when something outlives SIGKILL. */
  remove(): Promise<void> {
    this.#removing ??= this.#remove()
    return this.#removing
  }

  async #makePart({ directory, hierarchy, version }: Part, limits: SandboxLimits): Promise<void> {
    await this.#files.mkdir(directory)
    for (const { file, value, optional } of version.settings(hierarchy.controllers, limits)) {
      const path = join(directory, file)
      if (optional && !(await this.#exists(path))) continue
      await this.#files.write(path, String(value))
    }
  }

  async #exists(path: string): Promise<boolean> {
    return this.#files.read(path).then(
      () => true,
      () => false,
    )
  }

  async #readUsage(): Promise<Partial<SandboxUsage>> {
    const usages = await Promise.all(
      this.#parts.map(({ directory, hierarchy, version }) =>
        version.usage(directory, hierarchy.controllers, this.#files),
      ),
    )
    this.#usage = Object.assign({}, ...usages)
    return this.#usage
  }

  async #remove(): Promise<void> {
    this.hits()
    const { memoryBytes, processes, ...taken } = await this.#readUsage()
    this.#usage = {
      ...taken,
      ...(memoryBytes === undefined ? {} : { memoryBytes: 0 }),
      ...(processes === undefined ? {} : { processes: 0 }),
    }
    for (const { directory } of this.#parts) {
      await removeGroup(directory, { files: this.#files, clock: this.#clock })
    }
  }
}

/** Removes a group, its processes first; one that is gone is fine. Rejects after `killMs`. */
export async function removeGroup(
  directory: string,
  { files, clock }: { readonly files: CgroupFiles; readonly clock: Clock },
): Promise<void> {
  const deadline = clock.now() + killMs
  for (;;) {
    const left = await files.rmdir(directory).then(
      () => null,
      (error: unknown) => error,
    )
    if (left === null || codeOf(left) === 'ENOENT') return
    // A process that was just killed is counted for a moment longer.
    if (codeOf(left) !== 'EBUSY' || clock.now() > deadline)
      throw new Error(`the control group ${directory} cannot be removed`, { cause: left })
    await killAll(directory, files)
    await clock.sleep(5)
  }
}

/** At once where the kernel can, else one by one; the next round finds what was born meanwhile. */
async function killAll(directory: string, files: CgroupFiles): Promise<void> {
  const atOnce = await files.write(join(directory, 'cgroup.kill'), '1').then(
    () => true,
    () => false, // Version 1, or a kernel before 5.14.
  )
  if (atOnce) return
  const procs = await files.read(join(directory, 'cgroup.procs')).catch(() => '') // Gone.
  for (const pid of procs.split('\n').filter(Boolean)) {
    const found = identify(Number(pid))
    if (found !== null) killIfAlive(found)
  }
}
