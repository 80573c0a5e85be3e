import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, copyFile, link, rename, rm, stat, utimes } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Log } from '../log.ts'
import { makeTraversable } from './directories.ts'

/**
 * A program of the host's at a path that a sandbox can be shown. Below a root server an unprivileged
 * uid must reach it, and a checkout below /root is not reachable: so it is linked (or, on another
 * file system, copied) into `<dataDir>/bin`, anew when the program changed. Rejects when there is
 * none.
 */
export async function ensureReachable(
  source: string,
  o: { readonly name: string; readonly dataDir: string; readonly log: Log },
): Promise<string> {
  if (process.getuid?.() !== 0) return source
  const target = join(o.dataDir, 'bin', o.name)
  await makeTraversable(dirname(target))
  if (await isSame(source, target)) return target
  // A name of its own and a rename: what runs keeps the old file, and nobody sees half of one.
  const fresh = `${target}.${randomUUID()}`
  const way = await link(source, fresh).then(
    () => 'linked',
    () => copy(source, fresh), // Another file system, or one without hard links.
  )
  await rename(fresh, target)
  // Two links to one file are not renamed: somebody else was faster.
  await rm(fresh, { force: true })
  o.log.info({ target, way }, 'a program was made reachable for sandboxes')
  return target
}

/** The SDK's binary for this machine, where it is installed. Throws when it is not. */
export function findClaude(): string {
  const fromHere = createRequire(import.meta.url)
  // It is a dependency of the SDK, so that is where it is looked for, hoisted or not.
  const fromSdk = createRequire(fromHere.resolve('@anthropic-ai/claude-agent-sdk'))
  const name = `@anthropic-ai/claude-agent-sdk-${process.platform}-${process.arch}`
  for (const candidate of [name, `${name}-musl`]) {
    for (const from of [fromSdk, fromHere]) {
      const path = resolveOrNull(from, `${candidate}/claude`)
      if (path !== null && existsSync(path)) return path
    }
  }
  throw new Error(`the package ${name} is not installed: run npm ci without --omit=optional`)
}

function resolveOrNull(from: NodeJS.Require, specifier: string): string | null {
  try {
    return from.resolve(specifier)
  } catch {
    return null // Not this candidate.
  }
}

async function isSame(source: string, target: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(source), stat(target).catch(() => null)])
  if (b === null) return false
  if (a.dev === b.dev && a.ino === b.ino) return true
  return a.size === b.size && Math.floor(a.mtimeMs / 1000) === Math.floor(b.mtimeMs / 1000)
}

async function copy(source: string, target: string): Promise<string> {
  await copyFile(source, target)
  await chmod(target, 0o755)
  const { mtime } = await stat(source)
  await utimes(target, mtime, mtime)
  return 'copied'
}
