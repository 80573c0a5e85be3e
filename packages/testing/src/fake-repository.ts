import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { askGit, git } from './git.ts'
import { Issues } from './issues.ts'

/** A repository to create: its first commit on `main` has `files`, then what `seed` adds. */
export interface RepositoryOptions {
  readonly owner: string
  readonly name: string
  /** Contents by path. */
  readonly files?: Readonly<Record<string, string>>
  /** Fills the directory of the first commit, where files alone do not do. */
  readonly seed?: (directory: string) => Promise<void>
  /** Only the token's owner sees it. */
  readonly private?: boolean
  /** Anybody may push, as on a plain git host that trusts its network. */
  readonly openPush?: boolean
  /** Pushes to `main` are refused, in GitHub's words. */
  readonly protectMain?: boolean
  /** Logins that may be asked for a review, besides the owner, whose the token is. */
  readonly collaborators?: readonly string[]
  /** Slugs of teams that may be asked for a review. */
  readonly teams?: readonly string[]
  /** Labels that are there at first. */
  readonly labels?: readonly string[]
  /** As on a plan without draft pull requests. */
  readonly withoutDrafts?: boolean
}

/** A pull request as it was opened, with what was asked of it since. */
export interface PullRequest {
  readonly number: number
  readonly title: string
  readonly body: string
  /** Branch names; both branches are of this repository. */
  readonly head: string
  readonly base: string
  readonly draft: boolean
  readonly url: string
  readonly reviewers: readonly string[]
  readonly teamReviewers: readonly string[]
  readonly labels: readonly string[]
  readonly state: 'open' | 'closed' | 'merged'
  /** The commit of its branch when it ended; null while it is open. */
  readonly lastCommit: string | null
}

/** What the REST side changes of a repository. */
export interface RepositoryState {
  readonly pullRequests: PullRequest[]
  readonly collaborators: readonly string[]
  readonly teams: readonly string[]
  readonly labels: string[]
  readonly withoutDrafts: boolean
  /** Of the next issue or pull request. */
  nextNumber(): number
}

/** A repository of the fake GitHub, for tests to look into. */
export interface FakeRepository {
  readonly owner: string
  readonly name: string
  readonly private: boolean
  readonly openPush: boolean
  /** The page's address, which git clones as well. */
  readonly url: string
  /** Where its bare repository lies on disk. */
  readonly directory: string
  readonly pullRequests: readonly PullRequest[]
  /** Names of the labels that there are. */
  readonly labels: readonly string[]
  /** Issues, comments, reviews and checks, to look at and to add to. */
  readonly talk: Issues
  branches(): Promise<string[]>
  /** Commits reachable from a branch, newest first. */
  commits(branch: string): Promise<{ sha: string; subject: string }[]>
  /** A file's text; `null` when the branch has no such file. */
  fileAt(branch: string, path: string): Promise<string | null>
  /** Closes a pull request, or merges it first, as somebody does on its page. */
  endPullRequest(number: number, how: 'close' | 'merge'): Promise<void>
  /** What a branch changed since it left its base. */
  diff(base: string, branch: string): Promise<string>
}

/** Makes the bare repository below `root` and commits its first files. */
export async function createRepository(
  options: RepositoryOptions,
  o: { root: string; url: string },
): Promise<FakeRepository & RepositoryState> {
  const { owner, name } = options
  const directory = join(o.root, owner, `${name}.git`)
  await mkdir(dirname(directory), { recursive: true })
  await git(o.root, 'init', '--quiet', '--bare', '--initial-branch=main', directory)
  await commitFirst(directory, options)
  await configure(directory)
  if (options.protectMain === true) await addHook(directory, 'update', protectMainHook)
  await addHook(directory, 'post-receive', recordHook)
  let number = 0
  const nextNumber = (): number => (number += 1)
  const pullRequests: PullRequest[] = []
  return {
    owner,
    name,
    nextNumber,
    talk: new Issues(nextNumber),
    private: options.private ?? false,
    openPush: options.openPush ?? false,
    url: `${o.url}/${owner}/${name}`,
    directory,
    pullRequests,
    collaborators: options.collaborators ?? [],
    teams: options.teams ?? [],
    labels: [...(options.labels ?? [])],
    withoutDrafts: options.withoutDrafts ?? false,
    async branches() {
      return linesOf(
        await git(directory, 'for-each-ref', '--format=%(refname:short)', 'refs/heads'),
      )
    },
    async commits(branch) {
      const lines = linesOf(await git(directory, 'log', '--format=%H %s', `refs/heads/${branch}`))
      return lines.map((line) => ({ sha: line.slice(0, 40), subject: line.slice(41) }))
    },
    fileAt: (branch, path) => askGit(directory, 'show', `refs/heads/${branch}:${path}`),
    async endPullRequest(number, how) {
      const at = pullRequests.findIndex((each) => each.number === number)
      const pull = pullRequests[at]
      if (pull === undefined) throw new Error(`no pull request ${number}`)
      if (how === 'merge') await merge(directory, pull)
      const tip = await git(directory, 'rev-parse', `refs/heads/${pull.head}`)
      const state = how === 'merge' ? 'merged' : 'closed'
      pullRequests[at] = { ...pull, state, lastCommit: tip.trim() }
    },
    diff: (base, branch) =>
      git(directory, 'diff', `refs/heads/${base}...refs/heads/${branch}`, '--'),
  }
}

/** Names the file to which `post-receive` writes what a push changed. */
export const pushRecordVariable = 'FAKE_GITHUB_PUSH_RECORD'

const protectMainHook = `#!/bin/sh
if [ "$1" = refs/heads/main ]; then
  echo 'error: GH006: Protected branch update failed for refs/heads/main.' >&2
  exit 1
fi
`
const recordHook = `#!/bin/sh
cat >> "$${pushRecordVariable}"
`

async function commitFirst(directory: string, options: RepositoryOptions): Promise<void> {
  const tree = await mkdtemp(join(dirname(directory), 'seed-'))
  try {
    for (const [path, text] of Object.entries(options.files ?? {})) {
      await mkdir(dirname(join(tree, path)), { recursive: true })
      await writeFile(join(tree, path), text)
    }
    await options.seed?.(tree)
    const seed = [`--git-dir=${directory}`, `--work-tree=${tree}`]
    await git(tree, ...seed, 'add', '--all')
    await git(tree, ...seed, 'commit', '--quiet', '--allow-empty', '--message', 'First commit')
  } finally {
    await rm(tree, { recursive: true, force: true })
  }
}

/** What GitHub allows as well: pushes (the server checks who), partial clones, any known commit. */
async function configure(directory: string): Promise<void> {
  await git(directory, 'config', 'http.receivepack', 'true')
  await git(directory, 'config', 'uploadpack.allowFilter', 'true')
  await git(directory, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
}

/** A merge commit on the base branch, as the page's green button makes one. */
async function merge(directory: string, { head, base, title }: PullRequest): Promise<void> {
  const [from, to] = [`refs/heads/${base}`, `refs/heads/${head}`]
  const tree = (await git(directory, 'merge-tree', '--write-tree', from, to)).trim()
  const parents = ['-p', from, '-p', to]
  const commit = await git(directory, 'commit-tree', tree, ...parents, '-m', `Merge: ${title}`)
  await git(directory, 'update-ref', from, commit.trim())
}

async function addHook(directory: string, name: string, script: string): Promise<void> {
  const file = join(directory, 'hooks', name)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, script)
  await chmod(file, 0o755)
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}
