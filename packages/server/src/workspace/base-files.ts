import { randomUUID } from 'node:crypto'
import { tryGitScript, type Workspace } from './git.ts'

/** A file of a commit: git's name for its content, and the content as text. */
interface BaseFile {
  readonly oid: string
  readonly text: string
}

/**
 * Bytes of a file that are read: guidance and manifests are far smaller, and of a lock file only its
 * name counts. All names that are asked for at once fit into what is kept of git's output.
 */
const fileBytesMax = 256 * 1024

/**
 * Reads those of `names` that are files in a folder of the commit, all at once: each start of a
 * sandbox costs more than git does. From the commit, not from the directory, so that nothing an agent
 * wrote is read. Of a long file its first 256 KiB.
 */
export async function readBaseFiles(
  workspace: Workspace,
  o: { readonly commit: string; readonly folder?: string; readonly names: readonly string[] },
): Promise<Map<string, BaseFile>> {
  // What separates the contents is known to nobody who could have written it into one.
  const mark = randomUUID()
  const args = [`${o.commit}:./${o.folder ?? ''}`, mark, ...o.names]
  const { exitCode, stdout, truncated } = await tryGitScript(workspace, { script, args })
  if (exitCode !== 0 || truncated) return new Map()
  const [listed = '', ...contents] = stdout.split(`${mark} `)
  const texts = new Map(contents.map(contentOf))
  return new Map(
    listed.split('\0').flatMap((entry) => {
      const [, oid = '', name = ''] = /^100\d+ blob ([0-9a-f]+)\t(.*)$/.exec(entry) ?? []
      const text = texts.get(oid)
      return text === undefined ? [] : [[name, { oid, text }] as const]
    }),
  )
}

/** `<oid>\n<content>\n`, as `cat-file` writes it behind the mark. */
function contentOf(piece: string): readonly [oid: string, text: string] {
  const end = piece.indexOf('\n')
  return [piece.slice(0, end), piece.slice(end + 1, -1)]
}

const script = `list() { git ls-tree -z "$1" -- "\${@:3}"; }
list "$@" || exit
list "$@" | sed -zn 's/^100[0-9]* blob \\([0-9a-f]*\\)\\t.*/\\1/p' | tr '\\0' '\\n' |
  while read -r oid; do
    printf '%s %s\\n' "$2" "$oid"
    git cat-file blob "$oid" | head --bytes=${fileBytesMax}
    echo
  done`
