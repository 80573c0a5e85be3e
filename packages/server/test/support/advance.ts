import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { FakeRepository } from '@longhaul/testing'

/** Commits a file to a branch of a repository on the fake GitHub, as if somebody had pushed it. */
export async function advance(
  { directory }: Pick<FakeRepository, 'directory'>,
  o: {
    readonly branch: string
    readonly path: string
    readonly text: string
    /** Another branch for the commit, which is made or moved. */
    readonly to?: string
  },
): Promise<string> {
  const script = `set -e
    export GIT_INDEX_FILE=$(mktemp -u)
    git read-tree "$1"
    blob=$(printf %s "$3" | git hash-object -w --stdin)
    git update-index --add --cacheinfo "100644,$blob,$2"
    commit=$(git commit-tree -p "$1" -m "Change $2" "$(git write-tree)")
    git update-ref "refs/heads/$4" "$commit"
    rm -f "$GIT_INDEX_FILE"
    echo "$commit"`
  const env = {
    PATH: process.env['PATH'] ?? '',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    ...{ GIT_AUTHOR_NAME: 'Somebody', GIT_AUTHOR_EMAIL: 'somebody@example.com' },
    ...{ GIT_COMMITTER_NAME: 'Somebody', GIT_COMMITTER_EMAIL: 'somebody@example.com' },
  }
  const args = ['-c', script, 'bash', o.branch, o.path, o.text, o.to ?? o.branch]
  const { stdout } = await promisify(execFile)('bash', args, { cwd: directory, env })
  return stdout.trim()
}
