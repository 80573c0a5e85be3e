import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { answerBytesMax, askMs } from './limits.ts'
import { versionIn } from './self-test.ts'

/** The bwrap of this host. */
export interface Bwrap {
  /** Null: there is none that answers. */
  readonly version: string | null
  /** Whether it has `--disable-userns` (0.8 and newer). */
  readonly disablesUserns: boolean
}

/** Asks the bwrap on this path what it is; never rejects. */
export async function askBwrap(path: string): Promise<Bwrap> {
  const [version, help] = await Promise.all([ask(path, '--version'), ask(path, '--help')])
  return { version: versionIn(version), disablesUserns: help.includes('--disable-userns') }
}

async function ask(path: string, question: string): Promise<string> {
  return promisify(execFile)('bwrap', [question], {
    cwd: '/',
    env: { PATH: path },
    timeout: askMs,
    maxBuffer: answerBytesMax,
  }).then(
    ({ stdout }) => stdout,
    () => '', // The probe's own sandbox says what is wrong with it.
  )
}
