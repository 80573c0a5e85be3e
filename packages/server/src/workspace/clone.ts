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

/** Refs of a repository: commits by whole names, `HEAD` among them, and the branch that HEAD names. */
interface Refs {
  readonly tips: ReadonlyMap<string, string>
  readonly head: string | null
}

/** What `chooseBranch` has to know of the repository. */
export function refsToAsk(o: {
  readonly baseBranch?: string | undefined
  readonly workBranch: string
}) {
  const names = [prefixOf(o.workBranch), ...(o.baseBranch === undefined ? [] : [o.baseBranch])]
  return names.map((name) => `${heads}${name}`)
}

/** Asks git. Throws `GitFailed` when the repository cannot be had. */
export async function listRefs(
  workspace: Workspace,
  { url, names }: { readonly url: string; readonly names: readonly string[] },
): Promise<Refs> {
  const args = ['ls-remote', '--symref', '--', url, 'HEAD', ...names]
  const result = await tryGit(workspace, args, { network: true })
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  // `<commit>\t<ref>`, and before that of HEAD `ref: <branch>\tHEAD`.
  const lines = result.stdout.split('\n').map((line) => line.split('\t'))
  const isTip = ([id = '']: readonly string[]): boolean => /^[0-9a-f]+$/.test(id)
  const target = lines.find(([id = '', name]) => id.startsWith('ref: ') && name === 'HEAD')?.[0]
  return {
    tips: new Map(lines.filter(isTip).map(([id = '', name = '']) => [name, id])),
    head: target?.slice('ref: '.length) ?? null,
  }
}

/**
 * The branch to clone, by its full name: git would take a tag of the short one as well, and calls a
 * branch beside such a tag `heads/…`. Throws `BaseRefused` when it is not there, or could not take
 * the work.
 */
export function chooseBranch(
  { tips, head }: Refs,
  o: {
    readonly url: string
    /** Absent: the repository's default branch. */
    readonly baseBranch: string | undefined
    /** The branch that the work goes to. */
    readonly workBranch: string
  },
): Pick<Base, 'branch' | 'isDefault'> & { readonly tip: string } {
  const prefix = prefixOf(o.workBranch)
  if (tips.has(`${heads}${prefix}`))
    throw new BaseRefused(
      `its branch ${prefix} has to be renamed first, since git holds no ${o.workBranch} beside it.`,
    )
  const ref = o.baseBranch === undefined ? head : `${heads}${o.baseBranch}`
  const tip = tips.get(o.baseBranch === undefined ? 'HEAD' : `${heads}${o.baseBranch}`)
  if (ref?.startsWith(heads) && tip !== undefined)
    return { branch: ref.slice(heads.length), isDefault: ref === head, tip }
  throw new BaseRefused(
    o.baseBranch === undefined
      ? 'it has no default branch with a commit; name a branch as baseBranch.'
      : `${o.baseBranch} is not a branch of ${o.url}.`,
  )
}

const heads = 'refs/heads/'

function prefixOf(branch: string): string {
  return branch.split('/')[0] ?? branch
}

/** The repository answers, but cannot be worked on as ordered; the message says why. */
export class BaseRefused extends Error {}

/** Whether there is anything in the workspace. */
export async function hasFiles({ sandbox, signal }: Workspace): Promise<boolean> {
  const { stdout } = await sandbox.exec(['find', '.', '-mindepth', '1', '-print', '-quit'], {
    cwd: sandbox.paths.workspace,
    network: false,
    timeoutMs: 30_000,
    outputBytesMax: 4096,
    signal,
  })
  return stdout !== ''
}

/**
 * Whether the clone has the commit, fetched by its id if need be; a host that has it no more, or
 * hands out tips alone, makes it false. Throws `GitFailed` when the host cannot be asked.
 */
export async function fetchCommit(workspace: Workspace, commit: string): Promise<boolean> {
  const has = ['cat-file', '-e', `${commit}^{commit}`]
  if ((await tryGit(workspace, has)).exitCode === 0) return true
  const args = ['fetch', '--quiet', '--no-tags', '--no-recurse-submodules', 'origin', commit]
  const fetched = await tryGit(workspace, args, { network: true, timeoutMs: cloneMsMax })
  if (fetched.exitCode === 0) return true
  if (/not our ref|unadvertised object|couldn't find remote ref/i.test(fetched.stderr)) return false
  throw new GitFailed(args, fetched)
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
