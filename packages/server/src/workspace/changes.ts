import type { CommitIdentity } from '@longhaul/client/contract'
import { clearLocks } from './clone.ts'
import { GitFailed, git, tryGit, type Workspace } from './git.ts'
import { takeBranch } from './other-work.ts'
import { stageAll } from './stage.ts'

/** A push that takes longer is given up. */
const pushMsMax = 15 * 60_000
/** Most bytes of the names of changed files that are read. */
const namesBytesMax = 16 * 1024 * 1024
/** Most commits that a result or a pull request names. */
const commitsMax = 100
/** Characters of a commit's first line that are read. */
const subjectCharsMax = 500

/** One commit of the task. */
interface Commit {
  readonly sha: string
  readonly subject: string
}

/** Who commits what the agent left uncommitted, whatever it wrote into git's settings. */
const placeholder: CommitIdentity = { name: 'Longhaul', email: 'longhaul@localhost' }

/** What the task has changed so far. */
export interface Changes {
  readonly tip: string
  /** Since the base, oldest first; at most `commitsMax` of them. */
  readonly commits: readonly Commit[]
  /** The branch of the agent's that was checked out, since the work was on it. */
  readonly taken?: string
  /** Some of the paths that git puts into no commit, mostly none. */
  readonly leftOut: readonly string[]
}

/**
 * Commits whatever is uncommitted and answers what is checked out since `base`; if that is nothing,
 * the branch that the agent worked on instead is checked out (see `takeBranch`). Running it again
 * changes nothing. Nothing of the agent's may run. Throws `GitFailed` when anything is left out, but
 * for paths that git puts into no commit.
 */
export async function commitAll(
  workspace: Workspace,
  o: {
    readonly base: string
    readonly branch: string
    readonly message: string
    /** Patterns of what no commit carries. */
    readonly byProducts: readonly string[]
    /** Absent: a placeholder. */
    readonly committer?: CommitIdentity | undefined
  },
): Promise<Changes> {
  await clearLocks(workspace)
  const leftOut = await stageAll(workspace, o)
  const { exitCode } = await tryGit(workspace, ['diff-index', '--cached', '--quiet', 'HEAD', '--'])
  if (exitCode !== 0) {
    const args = ['--quiet', '--no-verify', '--cleanup=whitespace', '--message', o.message]
    await git(workspace, ['commit', ...args], {
      env: identityOf(o.committer ?? placeholder),
    })
  }
  const changes = { ...(await changesSince(workspace, o.base)), leftOut }
  if (changes.commits.length > 0) return changes
  const taken = await takeBranch(workspace, o)
  return taken === null
    ? changes
    : { ...changes, ...(await changesSince(workspace, o.base)), taken }
}

function identityOf({ name, email }: CommitIdentity): Record<string, string> {
  return {
    ...{ GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email },
    ...{ GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email },
  }
}

async function changesSince(
  workspace: Workspace,
  base: string,
): Promise<Pick<Changes, 'tip' | 'commits'>> {
  const tip = (await git(workspace, ['rev-parse', '--verify', 'HEAD^{commit}'])).trim()
  const log = await git(workspace, [
    ...['log', '--reverse', '--no-show-signature', `--max-count=${commitsMax}`],
    ...[`--format=%H %<(${subjectCharsMax},trunc)%s`, `${base}..${tip}`, '--'],
  ])
  const commits = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ sha: line.slice(0, tip.length), subject: line.slice(tip.length + 1).trim() }))
  return { tip, commits }
}

/**
 * Names of the files that differ between `base` and the tip, a moved file under both of its names;
 * of a list beyond `namesBytesMax` the middle is missing.
 */
export async function changedFiles(workspace: Workspace, base: string): Promise<string[]> {
  // Plumbing: no setting in `.git/config` decides what it shows.
  const args = ['diff-tree', '-r', '--name-only', '--no-renames', '-z', base, 'HEAD', '--']
  const result = await tryGit(workspace, args, { outputBytesMax: namesBytesMax })
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  return result.stdout.split('\0').filter((name) => name !== '')
}

/**
 * Pushes the tip to `branch` of the repository that was ordered, by its URL. The branch must be the
 * task's own: what the agent pushed there before, if anything, is replaced. A second push of the same
 * commit changes nothing. Throws `GitFailed` with the remote's words when it is refused.
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
  const env = {
    GIT_DIR: await emptyRepository(workspace, o.tip),
    GIT_OBJECT_DIRECTORY: `${workspace.sandbox.paths.workspace}/.git/objects`,
  }
  const refspec = `+${o.tip}:refs/heads/${o.branch}`
  const timeoutMs = o.timeoutMs ?? pushMsMax
  await git(workspace, ['push', '--no-verify', '--', o.url, refspec], {
    ...{ env, network: true, timeoutMs },
  })
}

/**
 * A repository without refs and settings, outside of /tmp, which may be full, for one push; it goes
 * with the session. Pushed from the workspace's own, a `url.*.insteadOf`, `remote.*.pushurl` or `http.proxy` of
 * the agent's would decide where the work goes.
 */
async function emptyRepository(workspace: Workspace, tip: string): Promise<string> {
  const { sandbox, signal } = workspace
  const made = await sandbox.exec(['mktemp', '--directory', `--tmpdir=${sandbox.paths.config}`], {
    ...{ network: false, timeoutMs: 10_000, outputBytesMax: 4096, signal },
  })
  if (made.exitCode !== 0) throw new GitFailed(['push'], made)
  const directory = made.stdout.trim()
  const format = tip.length === 64 ? 'sha256' : 'sha1'
  await git(workspace, [
    ...['init', '--quiet', '--bare', '--template=', `--object-format=${format}`],
    ...['--', directory],
  ])
  return directory
}
