import type { ExecResult } from '../sandbox/driver.ts'
import { GitFailed, git, tryGit, type Workspace } from './git.ts'
import { FileRefused, namesOf } from './path.ts'

/** Bytes of what git shows; the middle of more is left out. */
const shownBytesMax = 64 * 1024

/*
 * What git has to tell about a workspace, as text. All throw `FileRefused` for a path or a revision
 * that is not taken, and `GitFailed` in git's own words.
 */

/** Branch and changed files, in git's short form. */
export function status(workspace: Workspace): Promise<string> {
  return show(workspace, ['status', '--short', '--branch', '--ignore-submodules=none'])
}

/** One line a commit, the newest first. */
export async function log(
  workspace: Workspace,
  o: {
    readonly revision: string
    /** A commit, whose own history is left out. */
    readonly after?: string | undefined
    readonly path?: string | undefined
    readonly limit: number
  },
): Promise<string> {
  const tip = await commitOf(workspace, o.revision)
  return show(workspace, [
    ...['log', '--no-show-signature', '--no-color', `--max-count=${o.limit}`],
    ...['--date=short', '--format=%h %ad %an: %s', o.after ? `${o.after}..${tip}` : tip],
    ...pathspec(workspace, o.path),
  ])
}

/** The difference between two commits, or a commit and the files as they are, as a patch. */
export async function diff(
  workspace: Workspace,
  o: {
    readonly from: string
    /** Absent: the files as they are, without those that git does not know yet. */
    readonly to?: string | undefined
    readonly path?: string | undefined
    /** Only how much changed in which files. */
    readonly summary: boolean
  },
): Promise<string> {
  const ends = [await commitOf(workspace, o.from)]
  if (o.to !== undefined) ends.push(await commitOf(workspace, o.to))
  return show(workspace, [
    ...['diff', '--no-color', '--no-ext-diff', '--no-textconv'],
    ...['--src-prefix=a/', '--dst-prefix=b/'],
    ...(o.summary ? ['--stat=120', '--summary'] : []),
    ...[...ends, ...pathspec(workspace, o.path)],
  ])
}

/** A branch, a tag or a commit as its commit's id: what is asked of git later is never an option. */
async function commitOf(workspace: Workspace, revision: string): Promise<string> {
  const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`]
  const result = await tryGit(workspace, args)
  if (result.exitCode === 0) return result.stdout.trim()
  if (result.exitCode !== 1 && result.exitCode !== 128) throw new GitFailed(args, result)
  throw new FileRefused(`There is no commit ${JSON.stringify(revision)} here.`)
}

async function show(workspace: Workspace, args: readonly string[]): Promise<string> {
  const result: ExecResult = await tryGit(workspace, args, {
    env: { GIT_LITERAL_PATHSPECS: '1' },
    outputBytesMax: shownBytesMax,
  })
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  return result.stdout
}

/** The arguments that name one path, or none. */
function pathspec({ sandbox }: Workspace, path: string | undefined): string[] {
  if (path === undefined) return ['--']
  return ['--', namesOf(path, sandbox.paths.workspace).join('/') || '.']
}

/** The commit that is checked out. */
export async function headOf(workspace: Workspace): Promise<string> {
  return (await git(workspace, ['rev-parse', '--verify', 'HEAD^{commit}'])).trim()
}
