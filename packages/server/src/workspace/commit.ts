import { GitFailed, git, tryGit, type Workspace } from './git.ts'
import { FileRefused, namesOf } from './path.ts'
import { stageAll } from './stage.ts'

/**
 * Commits what is in the files: all of them, or those of `paths` and below. Answers the commit in a
 * line, its files, and what git puts into no commit. Throws `FileRefused` when there is nothing to commit, `GitFailed` when git
 * refuses (conflicts are unresolved, say).
 */
export async function commit(
  workspace: Workspace,
  o: {
    /** The commit that the task started from. */
    readonly base: string
    readonly message: string
    readonly paths: readonly string[]
  },
): Promise<string> {
  const names = o.paths.map((path) => namesOf(path, workspace.sandbox.paths.workspace))
  const specs = names.map((path) => path.join('/') || '.')
  const env = { GIT_LITERAL_PATHSPECS: '1' }
  let leftOut: readonly string[] = []
  if (specs.length > 0) await git(workspace, ['add', '--all', '--', ...specs], { env })
  else leftOut = await stageAll(workspace, { base: o.base })
  const args = ['commit', '--quiet', '--no-verify', '--cleanup=whitespace', '--message', o.message]
  const made = await tryGit(workspace, args)
  if (made.exitCode === 1 && made.stderr.trim() === '')
    throw new FileRefused('There is nothing to commit.')
  if (made.exitCode !== 0) throw new GitFailed(args, made)
  const shown = ['show', '--no-color', '--no-show-signature', '--stat=120', '--format=%h %s']
  const said = await git(workspace, [...shown, 'HEAD', '--'])
  if (leftOut.length === 0) return said
  return `${said}Left out, since git takes no such paths: ${JSON.stringify(leftOut)}`
}

/** What came of a merge. */
export interface Merge {
  /** Git's own words. */
  readonly said: string
  /** Files with conflicts; the merge waits for them to be resolved and committed. */
  readonly conflicts: readonly string[]
}

/** A fetch that takes longer is given up. */
const fetchMsMax = 120_000

/**
 * Fetches a branch of the repository at `url` and merges it into what is checked out. Throws
 * `GitFailed` when the branch cannot be had, or git refuses to begin.
 */
export async function pull(
  workspace: Workspace,
  { url, branch }: { readonly url: string; readonly branch: string },
): Promise<Merge> {
  const ref = `refs/remotes/origin/${branch}`
  const fetch = ['fetch', '--quiet', '--no-tags', '--no-recurse-submodules', '--no-auto-gc']
  await git(workspace, [...fetch, '--', url, `+refs/heads/${branch}:${ref}`], {
    ...{ network: true, timeoutMs: fetchMsMax },
  })
  const args = ['merge', '--no-edit', '--no-verify', '--no-verify-signatures', '--no-progress', ref]
  const merged = await tryGit(workspace, args)
  if (merged.exitCode === 0) return { said: merged.stdout, conflicts: [] }
  const listed = await git(workspace, ['diff', '--name-only', '--diff-filter=U', '-z', '--'])
  const conflicts = listed.split('\0').filter((name) => name !== '')
  if (conflicts.length === 0) throw new GitFailed(args, merged)
  return { said: merged.stdout, conflicts }
}
