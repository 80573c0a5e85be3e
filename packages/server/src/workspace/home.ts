import type { Workspace } from './git.ts'

/** Copying a home, which may hold the caches of a large set-up. */
const copyMsMax = 5 * 60_000

/** Keeps the home as set-up left it, out of the agent's sight. */
export function keepHome(workspace: Workspace): Promise<void> {
  const { home, keptHome } = workspace.sandbox.paths
  return copy(workspace, { from: home, to: keptHome })
}

/**
 * Makes the home of the checks anew, as set-up left it: no file that the agent, or a round of checks
 * before, wrote outside the repository decides what a check says (`script-shell` in `~/.npmrc`).
 */
export function renewChecksHome(workspace: Workspace): Promise<void> {
  const { keptHome, checksHome } = workspace.sandbox.paths
  return copy(workspace, { from: keptHome, to: checksHome })
}

async function copy(
  { sandbox, signal }: Workspace,
  { from, to }: { readonly from: string; readonly to: string },
): Promise<void> {
  const script = 'find "$2" -mindepth 1 -delete && cp -a --reflink=auto -- "$1/." "$2/"'
  const end = await sandbox.exec(['bash', '-c', script, 'bash', from, to], {
    cwd: '/',
    home: 'all',
    network: false,
    timeoutMs: copyMsMax,
    outputBytesMax: 4096,
    signal,
  })
  if (end.exitCode !== 0) throw new Error(`the home could not be copied: ${end.stderr.trim()}`)
}
