import { GitFailed, tryGitScript, type Workspace } from './git.ts'

/** Passes over embedded repositories, which may lie in each other. */
const depthMax = 10
/** Most names of what is left out that are told, and most bytes of them. */
const namesMax = 100
const namesBytesMax = 64 * 1024

/**
 * Puts everything that is in the directory into the index, as `stageScript` says, and answers what
 * is left out: at most `namesMax` paths. `byProducts`: patterns of what no commit carries, with which
 * the settings of this clone are forgotten. Throws `GitFailed` when anything else cannot be staged.
 */
export async function stageAll(
  workspace: Workspace,
  { base, byProducts }: { readonly base: string; readonly byProducts?: readonly string[] },
): Promise<string[]> {
  const forget = byProducts === undefined ? '' : 'forget_settings && '
  const script = `${stageScript}\n${forget}stage "$1" && list_left_out`
  const input = byProducts?.map((pattern) => `${pattern}\n`).join('') ?? ''
  const staged = await tryGitScript(workspace, { script, args: [base] }, { input })
  if (staged.exitCode !== 0) throw new GitFailed(['add'], staged)
  // What stands behind the last NUL was cut off.
  return staged.stdout.split('\0').slice(0, -1).slice(0, namesMax)
}

/**
 * `stage BASE` puts everything that is in the directory into the index, or fails.
 *
 * - A repository inside the repository is one entry to git: a link that nobody else can follow, or,
 *   without a commit, an error. An entry below it, of a file that does not exist, makes it a directory
 *   like any other, and goes with the same `git add`. Links of the base commit, and submodules that
 *   `.gitmodules` names, stay links.
 * - A path that git puts into no commit, whoever made it (`git~1/x`, say, which is `.git` elsewhere, or
 *   a link called `.gitmodules`), fails a `git add` as a whole; `git update-index` passes over it, and
 *   takes the rest. `list_left_out` prints such paths, each with a NUL behind.
 * - What its owner made unreadable is made readable: git keeps no such mode.
 *
 * `forget_settings` comes first where the real index is staged: what is committed is what is in the
 * files, so that what is checked is what is published. Settings that no commit shows would decide
 * otherwise: marks of the index that hide a file, attributes and filters of this clone alone, a list
 * of ignored files that is not the server's own, which it reads from its standard input.
 */
export const stageScript = `
is_submodule() {
  git ls-tree "$base" -- "$1" | grep -q '^160000 ' && return
  git config --file .gitmodules --get-regexp '^submodule\\..*\\.path$' 2>/dev/null |
    sed 's/^.*\\.path //' | grep -qxF -- "$1"
}
unlink_embedded() {
  git ls-files --stage -z | grep -z '^160000 ' | while IFS=$'\\t' read -r -d '' _ path; do
    is_submodule "$path" || git update-index --force-remove -- "$path"
  done
}
list_embedded() {
  git ls-files --others --exclude-standard -z | grep -z '/$' | while IFS= read -r -d '' path; do
    is_submodule "\${path%/}" || printf '%s.longhaul-embedded\\0' "$path"
  done
}
open_embedded() {
  local path
  while IFS= read -r -d '' path; do
    git update-index --add --cacheinfo "100644,$empty,$path" 2>/dev/null
  done
}
make_readable() {
  find . -type d ! -perm -0500 -exec chmod u+rwx {} \\; -o -type f ! -perm -0400 -exec chmod u+r {} +
}
add_all() {
  said=$(LC_ALL=C git add --all 2>&1) && return
  [[ $said = *'nvalid path'* ]] || return
  is_refused=1
  said=$(LC_ALL=C add_possible 2>&1)
}
add_possible() {
  list_new | git update-index --add --replace -z --stdin &&
    git diff-files --diff-filter=D --name-only -z | git update-index --force-remove -z --stdin &&
    git diff-files --diff-filter=d --name-only -z | git update-index --remove -z --stdin
}
list_new() {
  git ls-files --others --exclude-standard -z "$@" | sed -z 's,/$,,'
}
list_left_out() {
  [ -z "$is_refused" ] || list_new --directory | head --bytes=${namesBytesMax}
}
forget_settings() {
  local section
  mkdir -p .git/info && rm -rf .git/info/attributes .git/info/exclude .git/config.worktree || return
  cat > .git/info/exclude || return
  git config --local --name-only --get-regexp '^(filter|include|includeif)\\..*' |
    sed 's/\\.[^.]*$//' | sort -u | while IFS= read -r section; do
      git config --local --remove-section "$section"
    done
  git ls-files -v -z | grep -z '^[a-zS] ' | cut -z -c3- > .git/longhaul-marked
  git update-index --no-assume-unchanged -z --stdin < .git/longhaul-marked || return
  git update-index --no-skip-worktree -z --stdin < .git/longhaul-marked || return
  rm -f .git/longhaul-marked
}
stage() {
  local base=$1 empty embedded before status said n
  is_refused=
  empty=$(git hash-object --stdin </dev/null) || return
  unlink_embedded
  for ((n = 0; n < ${depthMax}; n++)); do
    embedded=$(list_embedded | base64)
    [ $n -gt 0 ] && [ "$embedded" = "$before" ] && break
    before=$embedded
    printf %s "$embedded" | base64 --decode | open_embedded
    add_all
    status=$?
    [[ $said = *'Permission denied'* ]] || continue
    make_readable
    add_all
    status=$?
    [[ $said = *'Permission denied'* ]] && status=1
  done
  [ $status -eq 0 ] || printf '%s\\n' "$said" >&2
  return $status
}
`
