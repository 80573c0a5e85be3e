import { GitFailed, git, tryGit, tryGitScript, type Workspace } from './git.ts'

/** Longest that fetching one branch may take. */
const fetchMsMax = 30 * 60_000

/**
 * Fetches a branch as the host has it now; answers its commit, or null when the host has no such
 * branch. Throws `GitFailed` when the host cannot be asked.
 */
export async function fetchBranch(
  workspace: Workspace,
  { url, branch }: { readonly url: string; readonly branch: string },
): Promise<string | null> {
  const ref = `refs/heads/${branch}`
  const listed = await git(workspace, ['ls-remote', '--', url, ref], { network: true })
  // `<commit>\t<ref>`; a pattern also matches refs that end like it.
  const line = listed.split('\n').find((each) => each.endsWith(`\t${ref}`))
  if (line === undefined) return null
  const args = ['fetch', '--no-tags', '--no-recurse-submodules', '--', url]
  await git(workspace, [...args, `+${ref}:refs/remotes/origin/${branch}`], {
    ...{ network: true, timeoutMs: fetchMsMax },
  })
  return (await git(workspace, ['rev-parse', '--verify', `refs/remotes/origin/${branch}`])).trim()
}

/** Checks `branch` out at a commit, whatever it was before. */
export async function branchAt(
  workspace: Workspace,
  { branch, commit }: { readonly branch: string; readonly commit: string },
): Promise<void> {
  await git(workspace, ['switch', '--force-create', branch, commit])
}

/**
 * The commit that the work on `commit` is judged by: the newest one of the base branch that it has,
 * for what others merged into it is not its own. Never one before `first`, where the work began: what
 * the base branch had before that may be no more.
 */
export async function baseOf(
  workspace: Workspace,
  o: { readonly first: string; readonly baseTip: string; readonly commit: string },
): Promise<string> {
  const { exitCode, stdout } = await tryGit(workspace, ['merge-base', o.baseTip, o.commit])
  const found = stdout.trim()
  if (exitCode !== 0) return o.first
  const args = ['merge-base', '--is-ancestor', o.first, found]
  return (await tryGit(workspace, args)).exitCode === 0 ? found : o.first
}

/**
 * Puts the work that a patch of `patch.ts` holds, made against `base`, into the files, uncommitted
 * on top of what is checked out. Throws `GitFailed` when the base is not there or the patch does not
 * fit it.
 */
export async function applyWork(
  workspace: Workspace,
  { base, patch }: { readonly base: string; readonly patch: Buffer },
): Promise<void> {
  const input = patch.toString('base64')
  const result = await tryGitScript(workspace, { script: applyScript, args: [base] }, { input })
  if (result.exitCode !== 0) throw new GitFailed(['apply'], result)
}

/** The tree that the patch makes of the base is what the files become. */
const applyScript = `
set -o pipefail
beside=$(mktemp --directory) || exit 1
trap 'rm -rf "$beside"' EXIT
export GIT_INDEX_FILE=$beside/index
git read-tree "$1" || exit
base64 --decode | git apply --cached --whitespace=nowarn - || exit
tree=$(git write-tree) || exit
unset GIT_INDEX_FILE
git read-tree --reset -u "$tree"
`
