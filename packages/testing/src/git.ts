import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const outputBytesMax = 64 * 1024 * 1024
const gitMs = 60_000

/** Environment of every git process here: nothing of the machine's own configuration. */
export function gitEnvironment(): Record<string, string> {
  const { PATH = '/usr/bin:/bin' } = process.env
  return {
    PATH,
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Octavia Seed',
    GIT_AUTHOR_EMAIL: 'octavia@example.com',
    GIT_COMMITTER_NAME: 'Octavia Seed',
    GIT_COMMITTER_EMAIL: 'octavia@example.com',
  }
}

/** Runs git in a directory and gives its output; rejects with git's own words. */
export async function git(directory: string, ...args: readonly string[]): Promise<string> {
  const options = { env: gitEnvironment(), maxBuffer: outputBytesMax, timeout: gitMs }
  const { stdout } = await run('git', ['-C', directory, ...args], options)
  return stdout
}

/** As `git`, but `null` when git refuses: for questions whose answer may be no. */
export async function askGit(
  directory: string,
  ...args: readonly string[]
): Promise<string | null> {
  return await git(directory, ...args).catch(() => null)
}
