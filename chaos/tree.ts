import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Patch } from '../packages/server/test/walls/mutation.ts'

const root = join(import.meta.dirname, '..')
const packages = ['client', 'server', 'testing']
const leftOut = new Set(['node_modules', 'dist'])

/** A copy of the packages, to be changed and run; disposing removes it. */
export interface Tree extends AsyncDisposable {
  readonly root: string
  /** Changes files, runs `during`, and changes them back. Throws when a text is not there once. */
  changed<T>(patches: readonly Patch[], during: () => Promise<T>): Promise<T>
}

/** Copies what tests read; the installed packages are the tree's own, through links. */
export async function copyTree(): Promise<Tree> {
  const to = await mkdtemp(join(tmpdir(), 'longhaul-chaos-'))
  const filter = (path: string) => !leftOut.has(basename(path))
  for (const name of packages) {
    await cp(join(root, 'packages', name), join(to, 'packages', name), { recursive: true, filter })
    await linkModules(join('packages', name), to)
  }
  await linkModules('.', to)
  await cp(join(root, 'package.json'), join(to, 'package.json'))
  return {
    root: to,
    async changed(patches, during) {
      const kept = new Map<string, string>()
      try {
        for (const patch of patches) {
          const path = join(to, patch.file)
          const text = await readFile(path, 'utf8')
          if (!kept.has(path)) kept.set(path, text)
          await writeFile(path, patched(text, patch))
        }
        return await during()
      } finally {
        for (const [path, text] of kept) await writeFile(path, text)
      }
    },
    [Symbol.asyncDispose]: () => rm(to, { recursive: true, force: true }),
  }
}

function patched(text: string, { file, find, replace }: Patch): string {
  const [before = '', ...after] = text.split(find)
  if (after.length === 1) return `${before}${replace}${after[0] ?? ''}`
  throw new Error(`the wall has moved: ${file} has its text ${after.length} times: ${find}`)
}

async function linkModules(directory: string, to: string): Promise<void> {
  const from = join(root, directory)
  if (!(await readdir(from)).includes('node_modules')) return
  await symlink(join(from, 'node_modules'), join(to, directory, 'node_modules'))
}
