import { git, type Workspace } from './git.ts'

/** Folders of dependencies and caches: whatever is in one is a by-product, then and later. */
const folders = new Set([
  ...['node_modules', '.venv', 'venv', 'vendor', 'target', '__pycache__'],
  ...['.tox', '.nox', '.cache', '.gradle', '.pnpm-store', '.yarn'],
])
/** Files of one folder that are named one by one; beyond them the folder is. */
const filesMax = 200
/** Patterns in all: enough for any set-up that is one. */
const patternsMax = 2000

/**
 * What set-up left behind untracked (a `node_modules` that the repository does not ignore), as
 * patterns for `.git/info/exclude`, so that no commit of the task carries it. A folder that only
 * holds it is not excluded with it: the agent may put its work there.
 */
export async function listByProducts(workspace: Workspace): Promise<string[]> {
  const list = async (...args: readonly string[]): Promise<string[]> => {
    const listed = await git(workspace, [
      'ls-files',
      '-z',
      '--others',
      '--exclude-standard',
      ...args,
    ])
    return listed.split('\0').filter((path) => path !== '' && !path.includes('\n'))
  }
  const patterns: string[] = []
  for (const path of await list('--directory', '--no-empty-directory')) {
    const isOpen = path.endsWith('/') && !folders.has(path.split('/').at(-2) ?? '')
    const files = isOpen ? await open(list, path) : [path]
    patterns.push(...files.map(patternOf))
  }
  return patterns.slice(0, patternsMax)
}

/** Hides them from the agent's own `git add` as well. */
export async function excludeByProducts(
  { sandbox, signal }: Workspace,
  patterns: readonly string[],
): Promise<void> {
  if (patterns.length === 0) return
  await sandbox.exec(['sh', '-c', 'mkdir -p .git/info && cat >> .git/info/exclude'], {
    cwd: sandbox.paths.workspace,
    input: patterns.map((pattern) => `${pattern}\n`).join(''),
    network: false,
    timeoutMs: 10_000,
    outputBytesMax: 4096,
    signal,
  })
}

/** The files of a folder one by one; the folder itself when they are too many. */
async function open(
  list: (...args: readonly string[]) => Promise<string[]>,
  path: string,
): Promise<readonly string[]> {
  const files = await list('--', `:(literal)${path}`).catch(() => null)
  return files === null || files.length > filesMax ? [path] : files
}

/** The pattern that fits a path from the root, and no other. */
export function patternOf(path: string): string {
  return `/${path.replace(/[\\*?[\]!#]/g, '\\$&').replace(/ $/, '\\ ')}`
}
