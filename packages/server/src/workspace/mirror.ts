import { GitFailed, tryGitScript, type Workspace } from './git.ts'

/** A fetch of a large history over a slow line. */
const fetchMsMax = 30 * 60_000
const repackMsMax = 10 * 60_000
/** Each fetch leaves a pack; beyond this many, reading gets slow. */
const packsMax = 40

/**
 * Brings a mirror up to date: a bare repository with every branch of `url` but those of agents,
 * which no task starts from. Makes it if it is not there; a killed fetch left nothing that counts.
 * Throws `GitFailed` when the repository cannot be had, or the mirror is broken.
 */
export async function refreshMirror(
  mirror: Workspace,
  { url }: { readonly url: string },
): Promise<void> {
  const o = { network: true, timeoutMs: fetchMsMax }
  const result = await tryGitScript(mirror, { script: fetchScript, args: [url] }, o)
  if (result.exitCode !== 0) throw new GitFailed(['fetch'], result)
}

/**
 * Other uids read the mirror, so its files are for everyone, whatever the server's umask is. Nothing
 * is ever pruned by a fetch: a commit that somebody's clone is being copied from stays.
 */
const fetchScript = `umask 022 && chmod 755 . || exit
[ -f HEAD ] || git init --quiet --bare . || exit
find . \\( -name '*.lock' -o -name 'tmp_*' \\) -delete
git -c gc.auto=0 fetch --quiet --prune --force --no-write-fetch-head -- "$1" \\
  '+refs/heads/*:refs/heads/*' '^refs/heads/agent/*'`

/** Packs anew what many fetches left. Nobody may read the mirror meanwhile. */
export async function tidyMirror(mirror: Workspace): Promise<void> {
  const o = { timeoutMs: repackMsMax }
  const result = await tryGitScript(mirror, { script: tidyScript, args: [] }, o)
  if (result.exitCode !== 0) throw new GitFailed(['repack'], result)
}

const tidyScript = `umask 022
[ "$(find objects/pack -name '*.pack' | wc -l)" -le ${packsMax} ] || git repack --quiet -d --geometric=2`

/** Bytes on disk of the mirror and the caches beside it. */
export async function sizeOf({ sandbox, signal }: Workspace): Promise<number> {
  const { workspace, home } = sandbox.paths
  const o = { network: false, timeoutMs: 60_000, outputBytesMax: 4096, signal }
  const { stdout } = await sandbox.exec(['du', '-skc', workspace, home], o)
  return Number(/^(\d+)\s+total$/m.exec(stdout)?.[1] ?? 0) * 1024
}
