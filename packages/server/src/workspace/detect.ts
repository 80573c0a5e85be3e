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
  /** What the file must say, too. */
  readonly says?: (text: string) => boolean
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
  { file: 'package.json', command: 'npm test', says: hasTestScript },
  { file: 'pytest.ini', command: 'python3 -m pytest' },
  { file: 'conftest.py', command: 'python3 -m pytest' },
  { file: 'pyproject.toml', command: 'python3 -m pytest', says: namesPytest },
  { file: 'tox.ini', command: 'python3 -m pytest', says: namesPytest },
  { file: 'go.mod', command: 'go test ./...' },
  { file: 'Cargo.toml', command: 'cargo test' },
  { file: 'Makefile', command: 'make test', says: hasTestTarget },
]

/** Reads the plan from `commit`, below `workdir`: one look at the names, then at few files. */
export async function detectPlan(
  workspace: Workspace,
  { commit, workdir }: { readonly commit: string; readonly workdir: string | undefined },
): Promise<Plan> {
  const folder = `${commit}:./${workdir ?? ''}`
  const listed = await tryGit(workspace, ['ls-tree', '-z', '--name-only', folder])
  const names = new Set(listed.exitCode === 0 ? listed.stdout.split('\0') : [])
  const find = async (signs: readonly Sign[]): Promise<string | null> => {
    for (const { file, command, says } of signs) {
      if (!names.has(file)) continue
      if (says === undefined) return command
      const path = posix.join(workdir ?? '.', file)
      const shown = await tryGit(workspace, ['show', '--no-textconv', `${commit}:./${path}`])
      if (shown.exitCode === 0 && says(shown.stdout)) return command
    }
    return null
  }
  const setup = await find(setupSigns)
  const check = await find(checkSigns)
  return { setup, checks: check === null ? [] : [check] }
}

/** What `npm init` writes is not a test: it prints "no test specified" and fails. */
function hasTestScript(text: string): boolean {
  try {
    const script: unknown = JSON.parse(text)?.scripts?.test
    return typeof script === 'string' && script !== '' && !script.includes('no test specified')
  } catch {
    return false // Not JSON, so npm runs no script of it either.
  }
}

function namesPytest(text: string): boolean {
  return text.includes('pytest')
}

function hasTestTarget(text: string): boolean {
  return /^test\s*:/m.test(text)
}
