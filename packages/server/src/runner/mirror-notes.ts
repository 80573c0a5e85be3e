import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'

const schema = z.object({
  /** Epoch milliseconds. */
  usedAt: z.number(),
  bytes: z.number(),
  /** The `Tip` that it was last brought up to date for. */
  tip: z.string().default(''),
  /** `packagesOf` the commit whose set-up filled the caches; empty: none did. */
  packages: z.string(),
})
type Note = z.infer<typeof schema>

/** What the server knows of each mirror: files of its own, `<name>.json` beside the mirrors. */
export class MirrorNotes {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  /** Null: the mirror was never whole. */
  async read(name: string): Promise<Note | null> {
    try {
      return schema.parse(JSON.parse(await readFile(this.#fileOf(name), 'utf8')))
    } catch {
      return null // A file that was cut short by a power failure as well: the mirror is made anew.
    }
  }

  async write(name: string, note: z.input<typeof schema>): Promise<void> {
    const file = this.#fileOf(name)
    // Readers note at once that they use it.
    const draft = `${file}.${randomUUID()}`
    await writeFile(draft, JSON.stringify(note))
    await rename(draft, file)
  }

  async remove(name: string): Promise<void> {
    await rm(this.#fileOf(name), { recursive: true, force: true })
  }

  /** Names of those to give up so that the rest has at most `bytesMax`; least recently used first. */
  async beyond(bytesMax: number): Promise<string[]> {
    await mkdir(this.#directory, { recursive: true })
    const entries = await readdir(this.#directory, { withFileTypes: true })
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
    const all = await Promise.all(
      // One without a note was never finished, and goes first.
      names.map(async (name) => ({ name, ...((await this.read(name)) ?? unfinished) })),
    )
    const newestFirst = all.toSorted((a, b) => b.usedAt - a.usedAt)
    let bytes = 0
    return newestFirst
      .filter((one) => {
        bytes += one.bytes
        return bytes > bytesMax || one.usedAt === unfinished.usedAt
      })
      .map(({ name }) => name)
      .toReversed()
  }

  /** Names of those that were used last before `date`, and removes drafts of notes of a server that was killed. */
  async unusedSince(date: number): Promise<string[]> {
    await mkdir(this.#directory, { recursive: true })
    const entries = await readdir(this.#directory, { withFileTypes: true })
    const unused: string[] = []
    for (const entry of entries) {
      const path = join(this.#directory, entry.name)
      if (entry.isDirectory()) {
        // One without a note was never finished: its directory's own date says when it was begun.
        const { usedAt } = (await this.read(entry.name)) ?? { usedAt: await changedAt(path) }
        if (usedAt < date) unused.push(entry.name)
      } else if (draftPattern.test(entry.name) && (await changedAt(path)) < date) {
        await rm(path, { force: true })
      }
    }
    return unused
  }

  #fileOf(name: string): string {
    return join(this.#directory, `${name}.json`)
  }
}

/** As `write` names them. */
const draftPattern = /\.json\.[0-9a-f-]{36}$/

/** Epoch milliseconds; of one that is gone meanwhile: never. */
function changedAt(path: string): Promise<number> {
  return lstat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  )
}

const unfinished = { usedAt: 0, bytes: 0 }
