import { GitFailed, git, tryGit, tryGitScript, type Workspace } from './git.ts'

/** Most lines of work that are looked at beside the one that is checked out. */
const linesMax = 100
/** A bundle beyond this is not stored. */
const bundleBytesMax = 32 * 1024 * 1024
/** base64 makes four bytes of three, and ends each line. */
const base64BytesMax = Math.ceil(bundleBytesMax * 1.4)

/**
 * Checks out the branch that the agent worked on and left again: the task's own one, or the only
 * one that goes beyond `base`. Answers its name, or null when there is none, or several.
 */
export async function takeBranch(
  workspace: Workspace,
  { base, branch }: { readonly base: string; readonly branch: string },
): Promise<string | null> {
  const tips = await tipsBeyond(workspace, { base, among: ['--branches'] })
  const ahead = (await branches(workspace)).filter(({ tip }) => tips.includes(tip))
  const taken =
    ahead.find(({ name }) => name === branch) ?? (tips.length === 1 ? ahead[0] : undefined)
  if (taken === undefined) return null
  const args = ['switch', '--quiet', '--ignore-other-worktrees', taken.name]
  return (await tryGit(workspace, args)).exitCode === 0 ? taken.name : null
}

/**
 * What neither `base` nor the checked out commit holds, as a git bundle: other branches and every
 * stash, and, where nothing else came of the task, commits that no branch names any more. Null
 * when there is no such thing. Throws `GitFailed`, also when it is larger than `bundleBytesMax`.
 */
export async function bundleOtherWork(workspace: Workspace, base: string): Promise<Buffer | null> {
  const changed = await git(workspace, ['rev-list', '--max-count=1', `${base}..HEAD`, '--'])
  const among = ['--branches', ...(await stashes(workspace)), ...(changed ? [] : ['--reflog'])]
  const tips = await tipsBeyond(workspace, { base, among })
  if (tips.length === 0) return null
  const named = await branches(workspace)
  const refs: string[] = []
  for (const tip of tips) {
    const name = named.find((each) => each.tip === tip)?.name ?? `left-${tip.slice(0, 12)}`
    // A bundle carries refs; what has none yet is given one.
    await git(workspace, ['update-ref', `refs/heads/${name}`, tip])
    refs.push(`refs/heads/${name}`)
  }
  const script = 'set -o pipefail; git bundle create --quiet - "$@" | base64'
  const args = [...refs, '--not', base, '--remotes']
  const options = { outputBytesMax: base64BytesMax }
  const result = await tryGitScript(workspace, { script, args }, options)
  if (result.exitCode !== 0 || result.truncated) throw new GitFailed(['bundle'], result)
  return Buffer.from(result.stdout, 'base64')
}

/**
 * The newest commits of `among` that lead beyond `base` and the checked out commit. What was
 * fetched is nobody's work here, and a commit that has a child among them is not the newest.
 */
async function tipsBeyond(
  workspace: Workspace,
  { base, among }: { readonly base: string; readonly among: readonly string[] },
): Promise<string[]> {
  const listed = await git(workspace, [
    ...['rev-list', '--children', ...among, '--not', base, 'HEAD', '--remotes', '--'],
  ])
  return lines(listed)
    .filter((line) => !line.includes(' '))
    .slice(0, linesMax)
}

async function branches(workspace: Workspace): Promise<{ tip: string; name: string }[]> {
  const format = '--format=%(objectname) %(refname:lstrip=2)'
  return lines(await git(workspace, ['for-each-ref', format, 'refs/heads/'])).map((line) => {
    const [tip = '', name = ''] = line.split(' ')
    return { tip, name }
  })
}

async function stashes(workspace: Workspace): Promise<string[]> {
  const { exitCode, stdout } = await tryGit(workspace, [
    ...['log', '--walk-reflogs', '--no-show-signature', `--max-count=${linesMax}`],
    ...['--format=%H', 'refs/stash', '--'],
  ])
  return exitCode === 0 ? lines(stdout) : []
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}
