import { tryGit, type Workspace } from './git.ts'

/** Files in which a repository tells an agent how to work in it. */
const guidanceFiles = ['CLAUDE.md', 'AGENTS.md'] as const
/** Most characters of each that are read. */
const guidanceCharsMax = 20_000

/**
 * What the repository says to agents, from the base commit, labelled as the repository's words.
 * Read as text only: its settings, hooks, skills and servers are never loaded.
 */
export async function readGuidance(workspace: Workspace, commit: string): Promise<string> {
  const parts: string[] = []
  for (const file of guidanceFiles) {
    const shown = await tryGit(workspace, ['show', '--no-textconv', `${commit}:${file}`])
    if (shown.exitCode !== 0) continue
    const text = shown.stdout.slice(0, guidanceCharsMax)
    parts.push(`<repository-file name="${file}">\n${text}\n</repository-file>`)
  }
  return parts.join('\n')
}
