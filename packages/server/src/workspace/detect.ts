import { posix } from 'node:path'
import { tryGit, type Workspace } from './git.ts'

/**
 * What the base commit says about how this repository is set up and checked. It is read from the
 * commit, not from the files, so nothing that the agent writes can change it.
 */
export interface Plan {
  readonly setup: string | null
  readonly checks: readonly string[]
}

/** A file of the base commit that gives a command away; the first that fits wins. */
interface Sign {
  readonly file: string
  readonly command: string
  /** The file must also say this. */
  readonly says?: RegExp
}

const setupSigns: readonly Sign[] = [
  { file: 'package-lock.json', command: 'npm ci' },
  { file: 'npm-shrinkwrap.json', command: 'npm ci' },
  { file: 'pnpm-lock.yaml', command: 'pnpm install --frozen-lockfile' },
  { file: 'yarn.lock', command: 'yarn install --frozen-lockfile' },
  { file: 'requirements.txt', command: 'python3 -m pip install --user -r requirements.txt' },
  { file: 'go.sum', command: 'go mod download' },
  { file: 'Cargo.lock', command: 'cargo fetch --locked' },
]

const checkSigns: readonly Sign[] = [
  // What `npm init` writes is not a test: it prints "no test specified" and fails.
  { file: 'package.json', command: 'npm test', says: /"test"\s*:\s*"(?!echo \\"Error: no test)/ },
  { file: 'pytest.ini', command: 'python3 -m pytest' },
  { file: 'conftest.py', command: 'python3 -m pytest' },
  { file: 'pyproject.toml', command: 'python3 -m pytest', says: /pytest/ },
  { file: 'tox.ini', command: 'python3 -m pytest', says: /pytest/ },
  { file: 'go.mod', command: 'go test ./...' },
  { file: 'Cargo.toml', command: 'cargo test' },
  { file: 'Makefile', command: 'make test', says: /^test\s*:/m },
]

/** Reads the plan from `commit`, below `workdir`. */
export async function detectPlan(
  workspace: Workspace,
  { commit, workdir }: { readonly commit: string; readonly workdir: string | undefined },
): Promise<Plan> {
  const find = async (signs: readonly Sign[]): Promise<string | null> => {
    for (const sign of signs) {
      const path = posix.join(workdir ?? '.', sign.file)
      const shown = await tryGit(workspace, ['show', '--no-textconv', `${commit}:./${path}`])
      if (shown.exitCode === 0 && (sign.says?.test(shown.stdout) ?? true)) return sign.command
    }
    return null
  }
  const setup = await find(setupSigns)
  const check = await find(checkSigns)
  return { setup, checks: check === null ? [] : [check] }
}
