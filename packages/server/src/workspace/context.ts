import type { Workspace } from './git.ts'
import { FileRefused, namesOf } from './path.ts'

/** Characters of standard error that are kept, its start. */
const stderrCharsMax = 2000

/**
 * A tar of the regular files and directories below a directory, made inside the sandbox: no link is
 * followed or in it, and nothing of git's own. What it says is as hostile as the workspace. Throws
 * FileRefused if there is no such directory, or a link leads there.
 */
export async function* packContext(
  { sandbox, signal }: Workspace,
  directory: string,
): AsyncGenerator<Buffer> {
  const root = sandbox.paths.workspace
  const below = namesOf(directory, root).join('/')
  const command = ['bash', '-c', script, 'bash', root, below === '' ? '.' : below, below]
  const child = sandbox.spawn(command, { cwd: root, network: false })
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', resolve)
    child.once('error', () => resolve(null))
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(0, stderrCharsMax)
  })
  const kill = (): void => void child.kill('SIGKILL')
  signal.addEventListener('abort', kill, { once: true })
  try {
    child.stdin.end()
    for await (const chunk of child.stdout) yield chunk
    const code = await exited
    signal.throwIfAborted()
    if (code !== 0) throw new FileRefused(`${directory} cannot be packed: ${stderr.trim()}`)
  } finally {
    signal.removeEventListener('abort', kill)
    kill()
  }
}

/** A file that a link has taken the place of meanwhile is packed as a link, which nobody follows. */
const script = `
set -o pipefail
cd -P -- "$1" && root=$(pwd -P) && cd -P -- "$2" && [ "$(pwd -P)" = "$root\${3:+/$3}" ] ||
  { echo 'there is no such directory, or a link leads there.' >&2; exit 9; }
find . -xdev -name .git -prune -o \\( -type f -o -type d \\) -print0 |
  tar --null --no-recursion --files-from=- --hard-dereference --format=pax -cf -
`
