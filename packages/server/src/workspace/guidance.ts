import { readBaseFiles } from './base-files.ts'
import type { Workspace } from './git.ts'

/** Files in which a repository tells an agent how to work in it. */
const guidanceFiles = ['CLAUDE.md', 'AGENTS.md'] as const
/** Most characters of each that are read. */
const guidanceCharsMax = 20_000
/** The start of a tag with which a file could pretend that it ends, and that others speak. */
const ownTag = /<(?=\s*\/?\s*repository-file)/gi

/**
 * What the repository says to agents, from the base commit, labelled as the repository's words.
 * Read as text only: its settings, hooks, skills and servers are never loaded. A commit is read once,
 * so whoever knows it early can ask ahead of the agent that needs it.
 */
export class Guidance {
  readonly #workspace: Workspace
  readonly #read = new Map<string, Promise<string>>()

  constructor(workspace: Workspace) {
    this.#workspace = workspace
  }

  of(commit: string): Promise<string> {
    const known = this.#read.get(commit)
    if (known !== undefined) return known
    const text = readGuidance(this.#workspace, commit)
    this.#read.set(commit, text)
    text.catch(() => this.#read.delete(commit)) // Read again by whoever asks again.
    return text
  }
}

async function readGuidance(workspace: Workspace, commit: string): Promise<string> {
  const files = await readBaseFiles(workspace, { commit, names: guidanceFiles })
  return guidanceFiles
    .flatMap((name) => {
      const text = files.get(name)?.text.slice(0, guidanceCharsMax).replaceAll(ownTag, '&lt;')
      return text === undefined
        ? []
        : [`<repository-file name="${name}">\n${text}\n</repository-file>`]
    })
    .join('\n')
}
