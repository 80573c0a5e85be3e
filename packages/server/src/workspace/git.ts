import type { ExecResult, Sandbox, SandboxPaths, SandboxProcess } from '../sandbox/driver.ts'

/** Longest a local git command may take; a clone or a push has its own, longer bound. */
const gitMsMax = 120_000
/** Most bytes of a git command's output that are kept. */
const gitOutputBytesMax = 4 * 1024 * 1024

/** What is done to a workspace is done through this: a sandbox and the signal of the attempt. */
export interface Workspace {
  readonly sandbox: Sandbox
  readonly signal: AbortSignal
}

/**
 * A git command that did not exit with 0, or printed more than is kept of it; the message is git's
 * own last words.
 */
export class GitFailed extends Error {
  readonly result: ExecResult
  constructor(args: readonly string[], result: ExecResult) {
    super(`git ${args[0] ?? ''} failed: ${lastWords(result).slice(0, 1000)}`)
    this.result = result
  }

  /** Git itself said no, and would again; otherwise it was killed, or cut off by its time limit. */
  get isFinal(): boolean {
    const { exitCode, timedOut } = this.result
    return !timedOut && exitCode !== null && exitCode <= 128
  }
}

function lastWords({ timedOut, exitCode, stderr }: ExecResult): string {
  if (timedOut) return 'it took too long'
  if (exitCode === 0) return 'it printed too much'
  return stderr.trim().split('\n').slice(-5).join(' ')
}

/**
 * Settings of every git command: whatever the repository or the agent wrote into `.git/config`,
 * no hook, monitor or external diff runs and nothing is signed or asked. The sandbox is the wall;
 * these and `environment` keep a hostile repository from disturbing the server's own steps inside.
 */
const settings = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  'core.quotePath=false',
  'commit.gpgSign=false',
  'submodule.recurse=false',
  'advice.addEmbeddedRepo=false',
  'core.safecrlf=false',
  'core.attributesFile=/dev/null',
  'core.excludesFile=/dev/null',
  'core.sparseCheckout=false',
  // A git host refuses such names, too, and with them the whole push.
  'core.protectNTFS=true',
  'core.protectHFS=true',
].flatMap((setting) => ['-c', setting])

const environment = {
  GIT_TERMINAL_PROMPT: '0',
  GIT_OPTIONAL_LOCKS: '0',
  // The agent's own. The system's stays: it rewrites the repository's host to the gateway.
  GIT_CONFIG_GLOBAL: '/dev/null',
  // The gateway speaks nothing else; no `protocol.*.allow` in a file adds to it.
  GIT_ALLOW_PROTOCOL: 'http',
  // A commit is what its id says, not what `refs/replace` shows in its place.
  GIT_NO_REPLACE_OBJECTS: '1',
}

/** Runs git in the workspace, inside the sandbox; never rejects for a non-zero exit. */
export function tryGit(
  workspace: Workspace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<ExecResult> {
  return run(workspace, ['git', ...settings, ...args], options)
}

/**
 * As `tryGit`, but answers standard output, all of it, and throws `GitFailed` for a non-zero exit
 * and for more output than `outputBytesMax`.
 */
export async function git(
  workspace: Workspace,
  args: readonly string[],
  options: GitOptions = {},
): Promise<string> {
  const result = await tryGit(workspace, args, options)
  if (result.exitCode !== 0 || result.truncated) throw new GitFailed(args, result)
  return result.stdout
}

/**
 * Runs a bash script in which `git` is git as above, with `args` as `$1`, `$2`, …: for paths that
 * are not text, and for steps that have to share one process. Never rejects for a non-zero exit.
 */
export function tryGitScript(
  workspace: Workspace,
  { script, args }: { readonly script: string; readonly args: readonly string[] },
  options: GitOptions = {},
): Promise<ExecResult> {
  return run(workspace, scriptCommand({ script, args }), options)
}

/**
 * Starts such a script, without network, for what goes through its pipes as a stream; who starts it
 * bounds it, and ends it.
 */
export function startGitScript(
  { sandbox }: Pick<Workspace, 'sandbox'>,
  o: { readonly script: string; readonly args: readonly string[] },
): SandboxProcess {
  const { paths } = sandbox
  const env = environmentIn(paths)
  return sandbox.spawn(scriptCommand(o), { cwd: paths.workspace, env, network: false })
}

function environmentIn(paths: SandboxPaths): Record<string, string> {
  return {
    ...environment,
    // Where there is no repository, that of a directory above is not meant.
    GIT_CEILING_DIRECTORIES: paths.root,
    // An index and the objects of a checkpoint are as large as the work: /tmp may be small, or full.
    TMPDIR: paths.config,
  }
}

function scriptCommand(o: { readonly script: string; readonly args: readonly string[] }): string[] {
  const own = `git() { command git ${settings.join(' ')} "$@"; }`
  return ['bash', '-c', `${own}\n${o.script}`, 'bash', ...o.args]
}

function run(
  { sandbox, signal }: Workspace,
  command: readonly string[],
  {
    network = false,
    timeoutMs = gitMsMax,
    outputBytesMax = gitOutputBytesMax,
    env = {},
    show = [],
    input,
  }: GitOptions,
): Promise<ExecResult> {
  return sandbox.exec(command, {
    cwd: sandbox.paths.workspace,
    env: { ...environmentIn(sandbox.paths), ...env },
    ...(input === undefined ? {} : { input }),
    show,
    network,
    timeoutMs,
    outputBytesMax,
    signal,
  })
}

interface GitOptions {
  readonly network?: boolean
  readonly timeoutMs?: number
  readonly outputBytesMax?: number
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly show?: readonly string[]
}
