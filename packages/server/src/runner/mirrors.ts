import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { parseRepoUrl, type TaskOrder } from '@longhaul/client/contract'
import { openGateway } from '../gateway/server.ts'
import { pathsOf } from '../sandbox/directories.ts'
import type { Sandbox } from '../sandbox/driver.ts'
import { sharedSlot } from '../sandbox/limits.ts'
import { keepCaches } from '../workspace/caches.ts'
import type { Workspace } from '../workspace/git.ts'
import { refreshMirror, sizeOf } from '../workspace/mirror.ts'
import type { RunnerDeps } from './deps.ts'
import { Door } from './door.ts'
import { auditedBy } from './gateway-audit.ts'
import { limitsOf } from './limits.ts'
import { MirrorNotes } from './mirror-notes.ts'
import { readingPolicyOf } from './policy.ts'

/** What tasks of one repository share on this node; no task ever writes it. */
export interface Mirror {
  /** The bare repository. */
  readonly repository: string
  /** Where package managers' `caches/` are, once a set-up filled them. */
  readonly home: string
}

/** A directory that is read by somebody. */
export interface Held {
  readonly directory: string
  release(): void
}

type Deps = Pick<
  RunnerDeps,
  'config' | 'credentials' | 'sandboxes' | 'dataDir' | 'audit' | 'metrics' | 'clock' | 'log'
>
type Repository = Pick<TaskOrder, 'repoUrl'>

/** A mirror goes when no task of its repository came for so long. */
const unusedMsMax = 30 * 24 * 3_600_000

/**
 * The mirrors of this node, `<dataDir>/repositories/<name>`: each is written in a sandbox of its own,
 * by one at a time, and read by any number of clones. When all of them are larger than
 * `REPOSITORY_CACHE_GIB`, those go that were not used for the longest.
 */
export class Mirrors {
  readonly #deps: Deps
  readonly #notes: MirrorNotes
  readonly #doors = new Map<string, { door: Door; refreshes: number }>()

  constructor(deps: Deps) {
    this.#deps = deps
    this.#notes = new MirrorNotes(join(deps.dataDir, 'repositories'))
  }

  /** Where the mirror is, or will be; null when this server keeps none. */
  of({ repoUrl }: Repository): Mirror | null {
    if (this.#deps.config.repositoryCacheBytes === 0) return null
    const { workspace, home } = pathsOf(this.#rootOf(nameOf(repoUrl)))
    return { repository: workspace, home }
  }

  /**
   * Lets `use` read the mirror, which has the tip of a branch that the host was just asked for. A
   * mirror that cannot be had, or read, costs time and nothing else: `use` is called with null then,
   * and is to do without; if it can, the mirror was at fault, and is removed.
   */
  async read<T>(
    repository: Repository,
    {
      branch,
      tip,
      signal,
    }: { readonly branch: string; readonly tip: string; readonly signal: AbortSignal },
    use: (mirror: Mirror | null) => Promise<T>,
  ): Promise<T> {
    const mirror = this.of(repository)
    if (mirror === null) return use(null)
    const name = nameOf(repository.repoUrl)
    const { door } = this.#at(name)
    try {
      await this.#bringUpTo(`${branch} ${tip}`, { repository, signal })
      return await door.read(signal, () => use(mirror))
    } catch (error) {
      signal.throwIfAborted()
      const result = await use(null)
      this.#deps.log.warn({ err: error, repository: repository.repoUrl }, 'a mirror is made anew')
      await this.#giveUp(name, signal)
      return result
    }
  }

  /**
   * Keeps the package managers' caches of a set-up that went well, unless those are kept that
   * `packages` stands for. Only ever of a repository's default branch: what others may push
   * elsewhere, nobody's later set-up shall find. What fails costs the next task time, no more.
   */
  async keepCaches(repository: Repository, from: Workspace, packages: string): Promise<void> {
    if (this.of(repository) === null || packages === '') return
    const { signal } = from
    const name = nameOf(repository.repoUrl)
    const keeping = this.#at(name).door.write(signal, async () => {
      const note = await this.#notes.read(name)
      if (note === null || note.packages === packages) return
      await using sandbox = await this.#open(name, repository)
      const to = { sandbox, signal }
      // Too large, or not to be had: tried again when the packages are others.
      await keepCaches(from, to)
      await this.#notes.write(name, { ...note, packages, bytes: await sizeOf(to) })
    })
    await keeping.catch((err: unknown) => {
      signal.throwIfAborted()
      this.#deps.log.error({ err, mirror: name }, 'caches could not be kept')
    })
  }

  /**
   * A directory of the node's that is filled once, by one at a time, and then only read; it stays for
   * as long as it is held. It shares the room, and its bound, with the mirrors. What `fill` throws is
   * thrown, and the next one tries again.
   */
  async hold(
    name: string,
    o: {
      readonly env: Readonly<Record<string, string>>
      readonly fill: (sandbox: Sandbox) => Promise<void>
      readonly signal: AbortSignal
    },
  ): Promise<Held> {
    const { signal } = o
    const { door } = this.#at(name)
    const usedAt = this.#deps.clock.now()
    if ((await this.#notes.read(name)) === null) {
      await door.write(signal, async () => {
        if ((await this.#notes.read(name)) !== null) return
        await using sandbox = await this.#open(name, null, o.env)
        await o.fill(sandbox)
        const bytes = await sizeOf({ sandbox, signal })
        await this.#notes.write(name, { packages: '', usedAt, bytes, tip: '' })
      })
      if (this.#deps.config.repositoryCacheBytes > 0) await this.#makeRoom(name, signal)
    }
    const held = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const reading = door.read(signal, async () => {
      const note = await this.#notes.read(name)
      if (note === null) throw new Error(`${name} gave way to others`)
      await this.#notes.write(name, { ...note, usedAt })
      held.resolve()
      await released.promise
    })
    reading.catch(held.reject)
    await held.promise
    return { directory: pathsOf(this.#rootOf(name)).workspace, release: released.resolve }
  }

  /** Most tasks of a repository start where the one before did: then there is nothing to fetch. */
  async #bringUpTo(
    tip: string,
    { repository, signal }: { readonly repository: Repository; readonly signal: AbortSignal },
  ): Promise<void> {
    const name = nameOf(repository.repoUrl)
    const at = this.#at(name)
    const asked = at.refreshes
    const usedAt = this.#deps.clock.now()
    const note = await this.#notes.read(name)
    if (note?.tip === tip) return this.#notes.write(name, { ...note, usedAt })
    await at.door.write(signal, async () => {
      // Somebody's that began after we asked will do.
      if (at.refreshes > asked) return
      await using sandbox = await this.#open(name, repository)
      await using _wayOut = await this.#openWayOut(repository, sandbox)
      const mirror = { sandbox, signal }
      const bytes = await refreshMirror(mirror, { url: repository.repoUrl })
      at.refreshes += 1
      const { packages = '' } = (await this.#notes.read(name)) ?? {}
      await this.#notes.write(name, { packages, usedAt, bytes, tip })
    })
    await this.#makeRoom(name, signal)
  }

  /**
   * Removes mirrors that nobody is in, those first that were not used for the longest, for as long as
   * `isLow`; how many. The next task of each fetches it anew.
   */
  async giveUpUnused(isLow: () => Promise<boolean>, signal: AbortSignal): Promise<number> {
    let given = 0
    for (const name of await this.#notes.beyond(0)) {
      if (!this.#at(name).door.isFree) continue
      if (!(await isLow())) break
      await this.#giveUp(name, signal)
      given += 1
    }
    return given
  }

  /** Removes mirrors that were not used for a month, and what of one was never finished. */
  async expire(signal: AbortSignal): Promise<void> {
    for (const name of await this.#notes.unusedSince(this.#deps.clock.now() - unusedMsMax)) {
      if (!this.#at(name).door.isFree) continue
      this.#deps.log.info({ mirror: name }, 'a mirror that was not used for a month goes')
      await this.#giveUp(name, signal)
    }
  }

  async #makeRoom(latest: string, signal: AbortSignal): Promise<void> {
    const { config, log } = this.#deps
    for (const name of await this.#notes.beyond(config.repositoryCacheBytes)) {
      const { door } = this.#at(name)
      if (name === latest || !door.isFree) continue
      log.info({ mirror: name }, 'a mirror gives way to newer ones')
      await this.#giveUp(name, signal)
    }
  }

  /** Once nobody is in it. One that cannot be removed is in nobody's way, and tried again. */
  async #giveUp(name: string, signal: AbortSignal): Promise<void> {
    const removing = this.#at(name).door.write(signal, async () => {
      await this.#notes.remove(name)
      const sandbox = await this.#open(name, null)
      await sandbox.destroy()
    })
    await removing.catch((err: unknown) => {
      signal.throwIfAborted()
      this.#deps.log.error({ err, mirror: name }, 'a mirror could not be removed')
    })
  }

  #open(
    name: string,
    repository: Repository | null,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Sandbox> {
    const { config } = this.#deps
    const limits = limitsOf(config)
    const origin = repository === null ? [] : [parseRepoUrl(repository.repoUrl).origin]
    return this.#deps.sandboxes.open({
      sessionId: name,
      directory: this.#rootOf(name),
      slot: sharedSlot,
      limits: { ...limits, diskBytes: Math.max(limits.diskBytes, config.repositoryCacheBytes) },
      env,
      gitRewrite: origin.map((from) => ({ from: `${from}/` })),
    })
  }

  #openWayOut(repository: Repository, sandbox: Sandbox): Promise<AsyncDisposable> {
    const { audit, metrics, clock, log } = this.#deps
    return openGateway({
      socketPath: sandbox.paths.gatewaySocket,
      ownerUid: sandbox.uid,
      policy: readingPolicyOf(this.#deps, repository),
      budget: { limitUsd: 0, spentUsd: 0 },
      hooks: {
        // There is no model here, and nothing to push to: no request comes this far.
        beforeModelRequest: async () => undefined,
        beforeParking: async () => undefined,
        isHeld: async () => false,
        mayPush: async () => 'A mirror is only read.',
        mayComment: async () => 'A mirror is only read.',
        onCommented: () => undefined,
        onUsage: async () => undefined,
        onQuota: () => undefined,
        onSilence: () => undefined,
        onRefused: () => undefined,
        onDenied: (denial) => log.warn(denial, 'a mirror was denied a way out'),
        ...auditedBy(audit, null),
      },
      metrics,
      clock,
      log,
    })
  }

  #at(name: string): { door: Door; refreshes: number } {
    const at = this.#doors.get(name) ?? { door: new Door(), refreshes: 0 }
    this.#doors.set(name, at)
    return at
  }

  #rootOf(name: string): string {
    return join(this.#deps.dataDir, 'repositories', name)
  }
}

/** Short, so that the path of its socket is. */
function nameOf(repoUrl: string): string {
  return createHash('sha256').update(repoUrl).digest('hex').slice(0, 24)
}
