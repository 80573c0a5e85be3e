import { GitFailed, tryGitScript, type Workspace } from './git.ts'

/** A fetch of a large history over a slow line. */
const fetchMsMax = 30 * 60_000
/** Each fetch leaves a pack; beyond this many, reading gets slow. */
const packsMax = 40

/**
 * Brings a mirror up to date: a bare repository with every branch of `url` but those of agents,
 * which no task starts from. Makes it if it is not there; a killed fetch left nothing that counts.
 * Answers the bytes on disk of it and of the caches beside it. Nobody may read it meanwhile.
 *
 * Throws `GitFailed` when the repository cannot be had, or the mirror is broken.
 */
export async function refreshMirror(
  mirror: Workspace,
  { url }: { readonly url: string },
): Promise<number> {
  const { workspace, home } = mirror.sandbox.paths
  const o = { network: true, timeoutMs: fetchMsMax }
  const args = [url, workspace, home]
  const result = await tryGitScript(mirror, { script: refreshScript, args }, o)
  if (result.exitCode !== 0) throw new GitFailed(['fetch'], result)
  return bytesIn(result.stdout)
}

/**
 * Other uids read the mirror, so its files are for everyone, whatever the server's umask is. Nothing
 * is ever pruned; packs of many fetches become one.
 */
const refreshScript = `umask 022 && chmod 755 . || exit
[ -f HEAD ] || git init --quiet --bare . || exit
find . \\( -name '*.lock' -o -name 'tmp_*' \\) -delete
git -c gc.auto=0 fetch --quiet --prune --force --no-write-fetch-head -- "$1" \\
  '+refs/heads/*:refs/heads/*' '^refs/heads/agent/*' || exit
packs=(objects/pack/*.pack)
[ "\${#packs[@]}" -le ${packsMax} ] || git repack --quiet -d --geometric=2 || exit
du -skc "$2" "$3"`

/** Bytes on disk of the mirror and the caches beside it. */
export async function sizeOf({ sandbox, signal }: Workspace): Promise<number> {
  const { workspace, home } = sandbox.paths
  const o = { network: false, timeoutMs: 60_000, outputBytesMax: 4096, signal }
  const { stdout } = await sandbox.exec(['du', '-skc', workspace, home], o)
  return bytesIn(stdout)
}

/** The last line of `du -skc`. */
function bytesIn(output: string): number {
  return Number(/^(\d+)\s+total$/m.exec(output)?.[1] ?? 0) * 1024
}
