import { readBaseFiles } from './base-files.ts'
import type { Workspace } from './git.ts'

/** Files in which a repository tells an agent how to work in it. */
const guidanceFiles = ['CLAUDE.md', 'AGENTS.md'] as const
/** Most characters of each that are read. */
const guidanceCharsMax = 20_000

/**
 * What the repository says to agents, from the base commit, labelled as the repository's words.
 * Read as text only: its settings, hooks, skills and servers are never loaded.
 */
export async function readGuidance(workspace: Workspace, commit: string): Promise<string> {
  const files = await readBaseFiles(workspace, { commit, names: guidanceFiles })
  return guidanceFiles
    .flatMap((name) => {
      const text = files.get(name)?.text.slice(0, guidanceCharsMax)
      return text === undefined
        ? []
        : [`<repository-file name="${name}">\n${text}\n</repository-file>`]
    })
    .join('\n')
}
