import type { ExecResult } from '../sandbox/driver.ts'
import { GitFailed, tryGit, tryGitScript, type Workspace } from './git.ts'

/** Longest a clone may take. */
const cloneMsMax = 30 * 60_000

/** Where the work starts from: the branch that was cloned and its commit. */
export interface Base {
  readonly branch: string
  readonly commit: string
  /** Whether the branch is the repository's default one. */
  readonly isDefault: boolean
}

/**
 * Clones one branch of the repository into the workspace: a clone of its own, that shares no
 * object with any other, a mirror's included. Whatever an interrupted clone left is removed first.
 * The work goes on on `workBranch`.
 *
 * Throws `GitFailed` when the repository or the branch cannot be had.
 */
export async function clone(
  workspace: Workspace,
  o: {
    readonly url: string
    readonly branch: string
    readonly workBranch: string
    /** Patterns of files that no `git add` inside takes. */
    readonly excluded: readonly string[]
    /** Directory of an up-to-date mirror of it to copy from; null: everything comes over the network. */
    readonly mirror: string | null
  },
): Promise<string> {
  const args = [o.branch, o.mirror ?? o.url, o.url, o.workBranch, ...o.excluded]
  const result = await tryGitScript(
    workspace,
    { script: cloneScript, args },
    {
      timeoutMs: cloneMsMax,
      ...(o.mirror === null
        ? { network: true }
        : { show: [o.mirror], env: { GIT_ALLOW_PROTOCOL: 'file' } }),
    },
  )
  if (result.exitCode !== 0) throw new GitFailed(['clone'], result)
  return result.stdout.trim()
}

const cloneScript = `find . -mindepth 1 -delete || exit
git clone --quiet --no-recurse-submodules --single-branch --no-hardlinks --branch "$1" -- "$2" . &&
  git remote set-url origin "$3" && git switch --quiet --create "$4" &&
  mkdir -p .git/info && printf '%s\\n' "\${@:5}" >>.git/info/exclude &&
  git rev-parse --verify 'HEAD^{commit}'`

/**
 * The branch to clone. It is looked up by its full name: git would take a tag of the short one as
 * well, and calls a branch beside such a tag `heads/…`.
 *
 * Throws `GitFailed` when the repository or the branch is not there, or could not take the work.
 */
export async function findBranch(
  workspace: Workspace,
  {
    url,
    baseBranch,
    workBranch,
  }: {
    readonly url: string
    /** Absent: the repository's default branch. */
    readonly baseBranch: string | undefined
    /** The branch that the work goes to. */
    readonly workBranch: string
  },
): Promise<Pick<Base, 'branch' | 'isDefault'> & { readonly tip: string }> {
  const [prefix = workBranch] = workBranch.split('/')
  const names = [prefix, ...(baseBranch === undefined ? [] : [baseBranch])]
  const refs = names.map((name) => `${heads}${name}`)
  const args = ['ls-remote', '--symref', '--', url, 'HEAD', ...refs]
  const result = await tryGit(workspace, args, { network: true })
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  const refused = (message: string) => new BaseRefused(message, args, result)
  // `<commit>\t<ref>`, and before that of HEAD `ref: <branch>\tHEAD`.
  const lines = result.stdout.split('\n')
  const tipOf = (ref: string): string | undefined =>
    lines.find((line) => line.endsWith(`\t${ref}`) && /^[0-9a-f]+\t/.test(line))?.split('\t')[0]
  if (tipOf(`${heads}${prefix}`))
    throw refused(
      `its branch ${prefix} has to be renamed first, since git holds no ${workBranch} beside it.`,
    )
  const head = lines.map((line) => /^ref: refs\/heads\/(.*)\tHEAD$/.exec(line)?.[1]).find(Boolean)
  const tip = tipOf(baseBranch === undefined ? 'HEAD' : `${heads}${baseBranch}`)
  if (baseBranch !== undefined) {
    if (tip === undefined) throw refused(`${baseBranch} is not a branch of ${url}.`)
    return { branch: baseBranch, isDefault: baseBranch === head, tip }
  }
  if (head === undefined || tip === undefined)
    throw refused('it has no default branch with a commit; name a branch as baseBranch.')
  return { branch: head, isDefault: true, tip }
}

const heads = 'refs/heads/'

/** The repository answers, but cannot be worked on as ordered; the message says why. */
class BaseRefused extends GitFailed {
  constructor(message: string, args: readonly string[], result: ExecResult) {
    super(args, result)
    this.message = message
  }
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
