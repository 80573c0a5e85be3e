import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sharedSlot } from '../sandbox/limits.ts'
import { adoptPlace, havingPlace } from '../store/left-places.ts'
import { putSettingIfAbsent } from '../store/settings.ts'
import type { RunnerDeps } from './deps.ts'

type Deps = Pick<RunnerDeps, 'store' | 'node' | 'sandboxes' | 'dataDir' | 'clock' | 'log'>

/** Time to see that a store is the wrong one, or too old a backup, before anything is removed. */
const unownedMs = 24 * 3_600_000
/** Directories that one look takes over; the rest follows with the next. */
const adoptionsMax = 50
/** Sessions that one line of the log names. */
const namedMax = 10

/**
 * Directories of sessions that no row of the store owns, on a node. They may be the only copy of what a
 * session did, and a store that was mistyped, is empty or is yesterday's knows none of them. So they are
 * given to the sweep only while the store is the one that this data directory had before this start, by
 * the id that both hold, and when this process has seen them unowned for a day.
 */
export class Orphans {
  readonly #deps: Deps
  /** Why none is removed; null: they are. */
  readonly #left: string | null
  /** Since when each is known to be nobody's, in time that no change of the date moves. */
  #seen = new Map<string, number>()

  static async open(deps: Deps): Promise<Orphans> {
    const file = join(deps.dataDir, 'installation')
    const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
      return null
    })
    const id = await putSettingIfAbsent(deps.store.db, 'installation_id', randomUUID())
    if (before !== null) return new Orphans(deps, before.trim() === id ? null : otherStore(file))
    // Whole or not at all, also after a power cut: half an id would be another store's.
    await writeFile(`${file}.new`, `${id}\n`, { flush: true })
    await rename(`${file}.new`, file)
    return new Orphans(deps, firstStart)
  }

  private constructor(deps: Deps, left: string | null) {
    this.#deps = deps
    this.#left = left
  }

  /** Makes those whose time has come places that were left, which the next sweep removes. */
  async adopt(): Promise<void> {
    const now = this.#deps.clock.elapsed()
    const unowned = await this.#unowned()
    const fresh = unowned.filter((id) => !this.#seen.has(id))
    this.#seen = new Map(unowned.map((id) => [id, this.#seen.get(id) ?? now]))
    if (fresh.length > 0)
      this.#deps.log.warn(
        { sessionIds: fresh.slice(0, namedMax), directories: unowned.length },
        `directories of sessions that the store does not know are left: ${this.#left ?? aDay}`,
      )
    if (this.#left !== null) return
    let adopted = 0
    for (const [id, since] of this.#seen) {
      if (adopted >= adoptionsMax) return
      if (now - since < unownedMs) continue
      if (await this.#take(id)) adopted += 1
      // One that cannot be taken over is tried again in a day, and keeps no other from it.
      else this.#seen.set(id, now)
    }
  }

  /**
   * The store is asked after they were listed, so one that is just being made has its row; and a session
   * that comes back to what it had here waits for the sweep.
   */
  async #unowned(): Promise<string[]> {
    const { store, node, dataDir } = this.#deps
    const room = join(dataDir, 'sessions')
    const entries = await readdir(room, { withFileTypes: true }).catch(() => []) // None was made yet.
    const ids = entries.flatMap((entry) =>
      // Links, and what others put there, are none of ours.
      entry.isDirectory() && sessionIdPattern.test(entry.name) ? entry.name : [],
    )
    const owned = await havingPlace(store.db, { node, ids })
    return ids.filter((id) => !owned.has(id))
  }

  async #take(id: string): Promise<boolean> {
    const { store, node, sandboxes, dataDir, clock, log } = this.#deps
    try {
      const slot = await sandboxes.slotOf(join(dataDir, 'sessions', id))
      const now = new Date(clock.now())
      const isOurs = await adoptPlace(store.db, { id, node, slot, slotsMax: sharedSlot - 1, now })
      if (isOurs)
        log.warn({ sessionId: id }, 'a directory that no session had for a day is removed')
      else log.warn({ sessionId: id }, 'a directory that nobody owns stays: its slot is taken')
      return isOurs
    } catch (error) {
      log.error({ err: error, sessionId: id }, 'a directory that nobody owns could not be removed')
      return false
    }
  }
}

const sessionIdPattern = /^sesn_[0-9a-z]{26}$/i

const aDay = 'they are removed when they have been nobody’s for a day'
const firstStart =
  'this data directory was not known to belong to this store before this start; after the next start they are removed'
const otherStore = (file: string): string =>
  `this is not the store that the data directory belongs to: correct DATABASE_URL, or, if this store is right and they are not needed, remove ${file} and start twice`
