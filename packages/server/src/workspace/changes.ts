import { GitFailed, git, tryGit, type Workspace } from './git.ts'

/** A push that takes longer is given up. */
const pushMsMax = 15 * 60_000
/** A patch beyond this is not stored: one that lost its middle would not apply. */
const patchBytesMax = 32 * 1024 * 1024
/** Most commits that a result or a pull request names. */
const commitsMax = 100

/** One commit of the task. */
export interface Commit {
  readonly sha: string
  readonly subject: string
}

/** Who commits what the agent left uncommitted. */
const identity = {
  GIT_AUTHOR_NAME: 'Longhaul',
  GIT_AUTHOR_EMAIL: 'longhaul@localhost',
  GIT_COMMITTER_NAME: 'Longhaul',
  GIT_COMMITTER_EMAIL: 'longhaul@localhost',
}

/**
 * Commits whatever is uncommitted and answers the commits since `base`, oldest first, and the tip.
 * Nothing changed: no commits. Running it again changes nothing.
 */
export async function commitAll(
  workspace: Workspace,
  { base, message }: { readonly base: string; readonly message: string },
): Promise<{ readonly tip: string; readonly commits: readonly Commit[] }> {
  await git(workspace, ['add', '--all'])
  const { exitCode } = await tryGit(workspace, ['diff', '--cached', '--quiet', '--no-ext-diff'])
  if (exitCode !== 0) {
    await git(workspace, ['commit', '--no-verify', '--message', message], { env: identity })
  }
  return changesSince(workspace, base)
}

async function changesSince(workspace: Workspace, base: string) {
  const tip = (await git(workspace, ['rev-parse', '--verify', 'HEAD^{commit}'])).trim()
  const range = `${base}..${tip}`
  const log = await git(workspace, [
    ...['log', '--reverse', '--no-show-signature', `--max-count=${commitsMax}`],
    ...['--format=%H %s', range, '--'],
  ])
  const commits = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ sha: line.slice(0, 40), subject: line.slice(41, 541) }))
  return { tip, commits }
}

/** Names of the files changed since `base`, as git prints them; at most `commitsMax` of them. */
export async function changedFiles(workspace: Workspace, base: string): Promise<string[]> {
  const names = await git(workspace, ['diff', '--name-only', '--no-ext-diff', '-z', base, 'HEAD'])
  return names
    .split('\0')
    .filter((name) => name !== '')
    .slice(0, commitsMax)
}

/**
 * The difference to `base`, uncommitted work included, as a patch that `git apply` takes. Throws
 * when it is larger than `patchBytesMax`.
 */
export async function patch(workspace: Workspace, base: string): Promise<string> {
  await git(workspace, ['add', '--all'])
  const args = ['diff', '--cached', '--binary', '--no-ext-diff', '--no-textconv', base]
  const result = await tryGit(workspace, args, { outputBytesMax: patchBytesMax })
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  if (result.truncated) throw new Error(`the patch is larger than ${patchBytesMax} bytes`)
  return result.stdout
}

/**
 * Pushes the tip to `branch` of the repository that was ordered, by its URL: `origin` is in the
 * hands of whoever writes `.git/config`. Never forced, so a second push of the same commit
 * changes nothing. Throws `GitFailed` with the remote's words when it is refused.
 */
export async function push(
  workspace: Workspace,
  o: {
    readonly url: string
    readonly tip: string
    readonly branch: string
    readonly timeoutMs?: number
  },
): Promise<void> {
  await git(workspace, ['push', '--no-verify', '--', o.url, `${o.tip}:refs/heads/${o.branch}`], {
    network: true,
    timeoutMs: o.timeoutMs ?? pushMsMax,
  })
}
