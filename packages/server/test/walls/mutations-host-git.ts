import type { Mutation, Patch } from './mutation.ts'

const workspace = 'packages/server/src/workspace'
const test = 'packages/server/test/walls/host-git.test.ts'

/** Git on the host, as it is when somebody calls it in the workspace and trusts every directory. */
const onHost = {
  wall: 'the server runs git inside only',
  file: `${workspace}/git.ts`,
  find: '  return sandbox.exec(command, {\n',
  replace: '  return onHost(command, {\n',
  test,
}
const hostsGit: Patch = {
  file: `${workspace}/git.ts`,
  find: 'interface GitOptions {',
  replace: `function onHost(command: readonly string[], o: any): Promise<ExecResult> {
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const [file = '', ...args] = command
  const trusted = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '*' }
  const { status, stdout, stderr } = spawnSync(file, args, {
    cwd: o.cwd, input: o.input ?? '', timeout: 10_000, env: { ...process.env, ...o.env, ...trusted },
  })
  return Promise.resolve({ exitCode: status, stdout: String(stdout), stderr: String(stderr),
    truncated: false, timedOut: false, durationMs: 0 })
}
interface GitOptions {`,
}
/** The settings that keep some of the vectors quiet wherever git runs. */
const plain: Patch = {
  file: `${workspace}/git.ts`,
  find: "  'core.hooksPath=/dev/null',\n  'core.fsmonitor=false',\n",
  replace: '',
}
const plainDiff: Patch = {
  file: `${workspace}/look.ts`,
  find: "'--no-color', '--no-ext-diff', '--no-textconv'",
  replace: "'--no-color'",
}

/** The walls of `host-git.test.ts`. */
export const hostGitMutations: readonly Mutation[] = [
  { ...onHost, also: [hostsGit, plain], title: 'core.fsmonitor runs nothing on the host' },
  { ...onHost, also: [hostsGit, plain], title: 'hooks run nothing on the host' },
  { ...onHost, also: [hostsGit, plainDiff], title: 'diff.external runs nothing on the host' },
  { ...onHost, also: [hostsGit, plainDiff], title: 'a textconv driver runs nothing on the host' },
  { ...onHost, also: [hostsGit], title: 'a clean filter runs nothing on the host' },
  {
    ...onHost,
    also: [hostsGit, plain],
    title: 'a bare repository in place of the clone runs nothing on the host',
  },
  {
    wall: 'no safe.directory beyond the shared mirrors',
    file: 'packages/server/src/sandbox/git-config.ts',
    find: "trusted === '' ? ''",
    replace: "trusted === '' ? '[safe]\\n\\tdirectory = *\\n'",
    test,
    title: 'git inside trusts no repository of another owner',
  },
]
