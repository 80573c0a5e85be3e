import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type { SandboxProcess } from './driver.ts'

/** A process that was started, and how to be sure that nothing of it is left. */
export interface Running {
  readonly process: SandboxProcess
  /** Ends it and all it started, by SIGKILL. */
  kill(): void
  /** Resolves once nothing that it started lives; rejects when something outlives SIGKILL. */
  readonly ended: Promise<void>
  /** After `ended`: why the walls, not the command, failed; null when they held. */
  failure(stderr: string): Error | null
}

/** A child whose three pipes are there. */
export type PipedChild = ChildProcess & {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
}

/**
 * Starts a program with pipes for its standard streams and for `pipes` descriptors after them.
 * Descriptors that the server itself inherited (a terminal's, a lock's, a directory's) would pass
 * through every exec into the sandbox, and an open directory is a way out of it: they are covered
 * with /dev/null. Node's own are closed on exec.
 */
export function spawnPiped(o: {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly detached: boolean
  readonly pipes: number
}): PipedChild {
  const [file = '', ...args] = o.command
  const piped = 3 + o.pipes
  const stdio: ('pipe' | 'ignore' | number)[] = new Array(piped).fill('pipe')
  const inherited = inheritedDescriptors().filter((descriptor) => descriptor >= piped)
  const nothing = inherited.length === 0 ? null : openSync('/dev/null', 'r')
  try {
    for (const descriptor of inherited) {
      while (stdio.length < descriptor) stdio.push('ignore')
      if (nothing !== null) stdio.push(nothing)
    }
    const child = spawn(file, args, { cwd: o.cwd, env: o.env, detached: o.detached, stdio })
    return withPipes(child)
  } finally {
    if (nothing !== null) closeSync(nothing)
  }
}

/** Resolves when the process ended, or could not be started: then with the error. */
export function untilExit(child: ChildProcess): Promise<Error | null> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve(null))
    child.once('error', resolve)
  })
}

function withPipes(child: ChildProcess): PipedChild {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error('spawned without pipes')
  // The command may end without reading its input; its exit code says what that means.
  stdin.on('error', () => undefined)
  return Object.assign(child, { stdin, stdout, stderr })
}

/** In ascending order; empty where there is no /proc. */
function inheritedDescriptors(): number[] {
  try {
    return readdirSync('/proc/self/fd')
      .map(Number)
      .filter((descriptor) => descriptor > 2 && survivesExec(descriptor))
      .sort((a, b) => a - b)
  } catch {
    return [] // Not Linux.
  }
}

const closeOnExec = 0o2000000

function survivesExec(descriptor: number): boolean {
  try {
    const [, flags = ''] =
      /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')) ?? []
    return (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    return false // The descriptor of the directory listing itself.
  }
}
