import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { ExecOptions, ExecResult, Sandbox } from '../../src/sandbox/driver.ts'
import { sh } from '../sandbox/support.ts'

/** Planted where an attack must not get: an assertion that names it is what a missing wall shows. */
export const canary = 'canary-7d1f0c'

export const isRoot = process.getuid?.() === 0
/** Walls that only a root server builds. */
export const rootOnly = isRoot ? false : 'only a root server drops its uid'

/**
 * Runs an attack to its end. Its last line must be `tried`: an attack that did not get that far
 * proves nothing, and must not pass for a wall that holds.
 */
export async function attack(
  sandbox: Sandbox,
  script: string,
  o: Partial<ExecOptions> = {},
): Promise<ExecResult> {
  const result = await sh(sandbox, `${script}\necho tried`, o)
  if (result.stdout.endsWith('tried\n')) return result
  throw new Error(`the attack did not run to its end: ${result.stdout}${result.stderr}`)
}

/** Fails when the canary was read. */
export function assertUnread({ stdout, stderr }: ExecResult): void {
  assert.ok(!(stdout + stderr).includes(canary), `the canary was read: ${stdout.slice(0, 300)}`)
}

/** A node script as a shell word of the attack; the sandbox's node runs it. */
export function nodeScript(sandbox: Sandbox, source: string): string {
  return `${sandbox.nodePath} -e ${quoted(source)}`
}

export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Runs a program of the host, as the planter of a canary does. */
export async function plant(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args)
  return stdout.trim()
}
