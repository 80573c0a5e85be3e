import { GitFailed, tryGitScript, type Workspace } from './git.ts'
import { stageScript } from './stage.ts'

/** A patch beyond this is not stored: one that lost its middle would not apply. */
const patchBytesMax = 32 * 1024 * 1024
/** base64 makes four bytes of three, and ends each line. */
const base64BytesMax = Math.ceil(patchBytesMax * 1.4)

/**
 * The difference to `base`, uncommitted work included, as a patch that `git apply` takes; empty when
 * there is none. It is made beside the repository, in memory where there is some: a full disk, a
 * broken index or a repository that takes no objects does not keep it from being made. Throws
 * `GitFailed` when it cannot be made whole, or is larger than `patchBytesMax`.
 */
export async function patch(workspace: Workspace, base: string): Promise<Buffer> {
  // A diff is bytes: not every text is UTF-8.
  const options = { outputBytesMax: base64BytesMax }
  const result = await tryGitScript(workspace, { script, args: [base] }, options)
  if (result.exitCode !== 0 || result.truncated) throw new GitFailed(['diff-tree'], result)
  return Buffer.from(result.stdout, 'base64')
}

/** `diff-tree` is plumbing: no colour, prefix or order that `.git/config` names changes it. */
const script = `${stageScript}
set -o pipefail
memory=$(mktemp --directory /dev/shm/longhaul.XXXXXX 2>/dev/null || mktemp --directory) || exit 1
trap 'rm -rf "$memory"' EXIT
objects=$(git rev-parse --path-format=absolute --git-path objects) || exit
mkdir "$memory/objects" || exit 1
export GIT_OBJECT_DIRECTORY=$memory/objects GIT_ALTERNATE_OBJECT_DIRECTORIES=$objects
export GIT_INDEX_FILE=$memory/index
git read-tree "$1" || exit
stage "$1" || exit
tree=$(git write-tree) || exit
git diff-tree --patch --binary --full-index --no-ext-diff --no-textconv "$1" "$tree" | base64
`
