import type { ExecResult, Sandbox } from '../sandbox/driver.ts'

/** Longest a local git command may take; a clone or a push has its own, longer bound. */
const gitMsMax = 120_000
/** Most bytes of a git command's output that are kept. */
const gitOutputBytesMax = 4 * 1024 * 1024

/** What is done to a workspace is done through this: a sandbox and the signal of the attempt. */
export interface Workspace {
  readonly sandbox: Sandbox
  readonly signal: AbortSignal
}

/** A git command that did not exit with 0; the message is git's own last words. */
export class GitFailed extends Error {
  readonly result: ExecResult
  constructor(args: readonly string[], result: ExecResult) {
    const words = result.timedOut
      ? 'it took too long'
      : result.stderr.trim().split('\n').slice(-5).join(' ')
    super(`git ${args[0] ?? ''} failed: ${words.slice(0, 1000)}`)
    this.result = result
  }
}

/**
 * Settings of every git command: whatever the repository or the agent wrote into `.git/config`,
 * no hook, monitor or external diff runs and nothing is signed or asked. The sandbox is the wall;
 * these keep a hostile repository from disturbing the server's own steps inside it.
 */
const settings = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'commit.gpgSign=false',
  'protocol.file.allow=never',
  'submodule.recurse=false',
].flatMap((setting) => ['-c', setting])

/** Runs git in the workspace, inside the sandbox; never rejects for a non-zero exit. */
export function tryGit(
  { sandbox, signal }: Workspace,
  args: readonly string[],
  {
    network = false,
    timeoutMs = gitMsMax,
    outputBytesMax = gitOutputBytesMax,
    env = {},
  }: GitOptions = {},
): Promise<ExecResult> {
  return sandbox.exec(['git', ...settings, ...args], {
    cwd: sandbox.paths.workspace,
    env: { GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', ...env },
    network,
    timeoutMs,
    outputBytesMax,
    signal,
  })
}

/** As `tryGit`, but answers standard output and throws `GitFailed` for a non-zero exit. */
export async function git(
  workspace: Workspace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<string> {
  const result = await tryGit(workspace, args, options)
  if (result.exitCode !== 0) throw new GitFailed(args, result)
  return result.stdout
}

interface GitOptions {
  readonly network?: boolean
  readonly timeoutMs?: number
  readonly outputBytesMax?: number
  readonly env?: Readonly<Record<string, string>>
}
