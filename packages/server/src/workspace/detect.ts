import { readBaseFiles } from './base-files.ts'
import type { Workspace } from './git.ts'

/**
 * What the base commit says about how this repository is set up and checked. It is read from the
 * commit, not from the files, so nothing that the agent writes can change it.
 */
export interface Plan {
  readonly setup: string | null
  readonly checks: readonly string[]
  /** Its lock files by their contents: what its packages are. Empty when there is none. */
  readonly packages: string
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

/** Reads the plan from `commit`, below `workdir`. */
export async function detectPlan(
  workspace: Workspace,
  { commit, workdir }: { readonly commit: string; readonly workdir: string | undefined },
): Promise<Plan> {
  const signs = [...setupSigns, ...checkSigns]
  const files = await readBaseFiles(workspace, {
    commit,
    ...(workdir === undefined ? {} : { folder: workdir }),
    names: [...new Set(signs.map(({ file }) => file))],
  })
  const find = (among: readonly Sign[]): string | null => {
    const fits = ({ file, says }: Sign): boolean => {
      const text = files.get(file)?.text
      return text !== undefined && (says === undefined || says(text))
    }
    return among.find(fits)?.command ?? null
  }
  const check = find(checkSigns)
  const locks = setupSigns.flatMap(({ file }) => {
    const oid = files.get(file)?.oid
    return oid === undefined ? [] : [`${file} ${oid}`]
  })
  return {
    setup: find(setupSigns),
    checks: check === null ? [] : [check],
    packages: locks.join('\n'),
  }
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
