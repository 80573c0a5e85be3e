import { patternOf } from './by-products.ts'
import { GitFailed, tryGitScript, type Workspace } from './git.ts'
import { FileRefused, namesOf } from './path.ts'

/** Longest a clone of another repository may take: it is there to be read, and may be shallow. */
const cloneMsMax = 4 * 60_000
/** Exit codes of the script that are not git's. */
const exists = 72
const wayRefused = 73

/**
 * Clones another repository into a new directory of the workspace, which the agent's own `git add`
 * does not see. Answers the commit that is checked out there. Nothing is left of a clone that fails.
 * Throws `FileRefused` for the directory, and
 * `GitFailed` in git's words.
 */
export async function cloneBeside(
  workspace: Workspace,
  o: {
    readonly url: string
    readonly directory: string
    readonly branch: string | undefined
    /** Commits of the history; 0: all of it. */
    readonly depth: number
  },
): Promise<string> {
  const { workspace: root } = workspace.sandbox.paths
  const names = namesOf(o.directory, root)
  const name = JSON.stringify(o.directory)
  if (names.length === 0) throw new FileRefused(`${name} is the workspace itself.`)
  const args = [
    ...['--quiet', '--no-recurse-submodules', '--single-branch', '--no-tags'],
    ...(o.branch === undefined ? [] : [`--branch=${o.branch}`]),
    ...(o.depth === 0 ? [] : [`--depth=${o.depth}`]),
    ...['--', o.url, '.'],
  ]
  const result = await tryGitScript(
    workspace,
    { script, args: [names.join('/'), otherPattern(names), ...args] },
    { network: true, timeoutMs: cloneMsMax },
  )
  if (result.exitCode === exists) throw new FileRefused(`${name} exists already.`)
  if (result.exitCode === wayRefused)
    throw new FileRefused(`${name} leads over something that is not a directory.`)
  if (result.exitCode !== 0) throw new GitFailed(['clone'], result)
  return result.stdout.trim()
}

/** What keeps the directory out of commits. */
export function otherPattern(names: readonly string[]): string {
  return patternOf(`${names.join('/')}/`)
}

/** Where the working directory really is decides, at each step, not how it was reached. */
const script = `
directory=$1 pattern=$2 root=$(pwd -P)
at=$root
shift 2
IFS=/ read -r -a names <<< "$directory"
last=$((\${#names[@]} - 1))
for ((n = 0; n <= last; n++)); do
  mkdir -- "./\${names[n]}" 2>/dev/null || [ $n -lt $last ] || exit ${exists}
  at=$at/\${names[n]}
  cd -P -- "./\${names[n]}" 2>/dev/null && [ "$(readlink /proc/self/cwd)" = "$at" ] ||
    exit ${wayRefused}
done
mkdir -p "$root/.git/info" && printf '%s\\n' "$pattern" >> "$root/.git/info/exclude"
git clone "$@" && git rev-parse --verify HEAD && exit
status=$?
find . -mindepth 1 -delete
cd .. && rmdir -- "./\${names[last]}"
exit $status
`
