import { git, tryGit, type Workspace } from './git.ts'

/** Longest a clone may take. */
const cloneMsMax = 30 * 60_000

/** Where the work starts from: the branch that was cloned and its commit. */
export interface Base {
  readonly branch: string
  readonly commit: string
}

/**
 * Clones one branch of the repository into the workspace: a clone of its own, that shares no
 * object with any other. Whatever an interrupted clone left is removed first.
 *
 * Throws `GitFailed` when the repository or the branch cannot be had.
 */
export async function clone(
  workspace: Workspace,
  { url, baseBranch }: { readonly url: string; readonly baseBranch: string | undefined },
): Promise<Base> {
  await empty(workspace)
  await git(
    workspace,
    [
      'clone',
      '--no-recurse-submodules',
      '--single-branch',
      ...(baseBranch === undefined ? [] : ['--branch', baseBranch]),
      '--',
      url,
      '.',
    ],
    { network: true, timeoutMs: cloneMsMax },
  )
  const commit = (await git(workspace, ['rev-parse', '--verify', 'HEAD^{commit}'])).trim()
  const branch = (await git(workspace, ['symbolic-ref', '--short', 'HEAD'])).trim()
  return { branch, commit }
}

/** Makes, or after a crash finds, the branch on which the agent works. */
export async function startBranch(workspace: Workspace, branch: string): Promise<void> {
  const { exitCode } = await tryGit(workspace, ['switch', '--create', branch])
  if (exitCode !== 0) await git(workspace, ['switch', branch])
}

/**
 * What set-up left behind untracked (a `node_modules` that the repository does not ignore) is
 * written to `.git/info/exclude`, so that no commit of the task carries it.
 */
export async function excludeUntracked(workspace: Workspace): Promise<void> {
  const listed = await git(workspace, [
    'ls-files',
    '-z',
    '--others',
    '--exclude-standard',
    '--directory',
  ])
  const patterns = listed
    .split('\0')
    .filter((path) => path !== '' && !path.includes('\n'))
    .map((path) => `/${path.replace(/[\\*?[\]!#]/g, '\\$&')}`)
  if (patterns.length === 0) return
  const { sandbox, signal } = workspace
  await sandbox.exec(['sh', '-c', 'cat >> .git/info/exclude'], {
    cwd: sandbox.paths.workspace,
    input: `${patterns.join('\n')}\n`,
    network: false,
    timeoutMs: 10_000,
    outputBytesMax: 4096,
    signal,
  })
}

/** Removes the locks of git commands that were killed: every later one would refuse to start. */
export async function clearLocks({ sandbox, signal }: Workspace): Promise<void> {
  await sandbox.exec(['find', '.git', '-name', '*.lock', '-not', '-path', '*/hooks/*', '-delete'], {
    cwd: sandbox.paths.workspace,
    network: false,
    timeoutMs: 30_000,
    outputBytesMax: 4096,
    signal,
  })
}

async function empty({ sandbox, signal }: Workspace): Promise<void> {
  await sandbox.exec(['find', '.', '-mindepth', '1', '-delete'], {
    cwd: sandbox.paths.workspace,
    network: false,
    timeoutMs: 120_000,
    outputBytesMax: 4096,
    signal,
  })
}
