import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Clock } from '../clock.ts'
import {
  argumentsDescriptor,
  scriptDescriptor,
  seccompDescriptor,
  statusDescriptor,
} from './arguments.ts'
import { startReportMs } from './limits.ts'
import { identify, killIfAlive, type ProcessIdentity, untilGone } from './process-table.ts'
import { type PipedChild, type Running, spawnPiped, untilExit } from './running.ts'

/** A bwrap that was started and waits to be told what it is to build and run. */
export interface Launch {
  /** Whether it lives and is where it has to be, as far as anybody can tell. */
  waits(): boolean
  /** Tells it, once, and calls `onTold` then; not at all when it could not be. */
  run(told: Told, onTold: () => void): Running
  /** Ends it instead; resolves once it is gone. */
  discard(): Promise<void>
}

/** What a launch is told. */
export interface Told {
  readonly bwrapArguments: readonly string[]
  /** The script that bwrap runs inside. */
  readonly script: string
  readonly seccomp: Buffer | null
}

/**
 * Starts bwrap, up to where it waits for its arguments: nothing of it is inside, and it is one
 * process. Where the server dies it reads that there are none, and finds no program in the empty
 * root that this makes.
 */
export function startLaunch(o: {
  readonly command: readonly string[]
  /** Bounds the process; rejects when it cannot, and then nothing of it may run. */
  readonly enter: (pid: number) => Promise<void>
  readonly path: string
  readonly clock: Clock
}): Launch {
  const child = spawnPiped({
    command: o.command,
    // bwrap's environment is readable inside, as that of pid 1.
    env: { PATH: o.path },
    cwd: '/',
    detached: false,
    pipes: 4,
  })
  keepServerAlive(child, false)
  let startError: Error | null = null
  const entered = child.pid === undefined ? Promise.resolve() : o.enter(child.pid)
  entered.catch((error: Error) => {
    startError ??= error
    child.kill('SIGKILL')
  })
  const status = followStatus(child)
  const exited = untilExit(child)
  child.on('error', (error) => {
    startError = error
  })
  const launched = { child, status, entered, exited, clock: o.clock, startError: () => startError }
  return {
    waits: () => startError === null && isAlive(child),
    run: (told, onTold) => run(launched, { ...told, onTold }),
    async discard() {
      keepServerAlive(child, true)
      child.kill('SIGKILL')
      // Its number may be another's, once it is gone: nobody is moved by it any more then.
      await Promise.allSettled([exited, entered])
      for (const stream of child.stdio) stream?.destroy()
    },
  }
}

interface Launched {
  readonly child: PipedChild
  readonly status: Status
  readonly entered: Promise<void>
  readonly exited: Promise<unknown>
  readonly clock: Clock
  readonly startError: () => Error | null
}

/**
 * Tells a launch what to run and follows it to the end of its pid namespace.
 *
 * The process we start is bwrap's monitor; its child is pid 1 of the namespace. The monitor's
 * death ends pid 1 (die-with-parent), and pid 1's death ends everything inside. But a command
 * inside may trace pid 1 and take that wish back, so pid 1 is killed directly as well, and only
 * once it is gone does the command count as ended. bwrap writes pid 1's number, and the command's
 * exit code, to the status descriptor.
 */
function run(
  { child, status, entered, exited, clock, startError }: Launched,
  told: Told & { readonly onTold: () => void },
): Running {
  keepServerAlive(child, true)
  // bwrap starts nothing before it has read its arguments: until then the launch is one process.
  const begun = entered.then(
    async () => {
      await Promise.all([
        send(child, scriptDescriptor, told.script),
        send(child, seccompDescriptor, told.seccomp ?? ''),
        send(child, argumentsDescriptor, told.bwrapArguments.map((one) => `${one}\0`).join('')),
      ])
      told.onTold()
    },
    () => undefined, // It was killed for that.
  )
  const ended = Promise.all([exited, begun]).then(async () => {
    await status.complete(clock)
    const init = status.init()
    if (init === null) return
    killIfAlive(init)
    await untilGone({ processes: [init], clock })
  })
  // Whoever waits sees the rejection; a process that nobody waits for must not end the server.
  ended.catch(() => undefined)
  return {
    process: child,
    ended,
    kill: () => killTree({ child, status, clock }),
    failure: (stderr) => failureOf({ child, status, startError: startError(), stderr }),
  }
}

/** A command does, and an end that is waited for; a launch that waits for a command does not. */
function keepServerAlive(child: PipedChild, does: boolean): void {
  const pipes = child.stdio.filter((stream) => stream instanceof Socket)
  for (const handle of [child, ...pipes]) does ? handle.ref() : handle.unref()
}

/** As the kernel has it: that it ended may not have been heard yet. */
function isAlive({ pid, exitCode, signalCode }: PipedChild): boolean {
  return pid !== undefined && exitCode === null && signalCode === null && identify(pid) !== null
}

/** bwrap reports two short objects; nothing else has the descriptor. */
const statusCharsMax = 4096

interface Status {
  /** Pid 1 of the namespace, once it was reported and lived. */
  init(): ProcessIdentity | null
  /** Whether bwrap saw the command run to an end. */
  commandRan(): boolean
  onInit(run: () => void): void
  /** Resolves when no more will be reported. */
  complete(clock: Clock): Promise<void>
}

function followStatus(child: PipedChild): Status {
  const stream = child.stdio[statusDescriptor]
  let text = ''
  let init: ProcessIdentity | null = null
  const waiting: (() => void)[] = []
  stream?.on('error', () => undefined) // A launch that failed has nothing to report.
  stream?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('latin1')).slice(-statusCharsMax)
    const [, pid] = /"child-pid": (\d+)/.exec(text) ?? []
    if (init !== null || pid === undefined) return
    init = identify(Number(pid))
    for (const run of waiting.splice(0)) run()
  })
  return {
    init: () => init,
    commandRan: () => text.includes('"exit-code":'),
    onInit: (run) => void (init === null ? waiting.push(run) : run()),
    async complete(clock) {
      if (!isReadable(stream)) return
      using _timer = clock.after(startReportMs, () => stream.destroy())
      await finished(stream, { writable: false }).catch(() => undefined)
    },
  }
}

/**
 * Killing the monitor before it told who pid 1 is can leave pid 1 waiting for it for ever, so a
 * launch that young gets a moment to say so.
 */
function killTree(o: {
  readonly child: PipedChild
  readonly status: Status
  readonly clock: Clock
}): void {
  const timer = o.clock.after(startReportMs, () => o.child.kill('SIGKILL'))
  o.status.onInit(() => {
    timer.cancel()
    const init = o.status.init()
    if (init !== null) killIfAlive(init)
    o.child.kill('SIGKILL')
  })
}

/** bwrap exits with 1 and a line on stderr when it cannot build the walls, or not run the init. */
function failureOf(o: {
  readonly child: PipedChild
  readonly status: Status
  readonly startError: Error | null
  readonly stderr: string
}): Error | null {
  if (o.startError !== null)
    return new Error(`the sandbox could not start: ${o.startError.message}`, {
      cause: o.startError,
    })
  if (o.status.commandRan() || o.child.signalCode !== null) return null
  const code = o.child.exitCode
  // prlimit, setpriv and bwrap end with 1, 126 or 127; another code came from a killed pid 1.
  if (code !== 1 && code !== 126 && code !== 127) return null
  return new Error(`the sandbox could not start: ${o.stderr.trim() || `exit code ${code}`}`)
}

/** Resolves once it was sent to its end: bwrap waits for the end, too. */
function send(child: PipedChild, descriptor: number, data: string | Buffer): Promise<void> {
  const stream = child.stdio[descriptor]
  if (stream === undefined || stream === null || !('end' in stream))
    throw new Error(`spawned without the descriptor ${descriptor}`)
  stream.on('error', () => undefined) // A launch that failed reads nothing; its exit says so.
  return new Promise((resolve) => stream.end(data, () => resolve()))
}

function isReadable(stream: PipedChild['stdio'][number] | undefined): stream is Readable {
  return stream !== undefined && stream !== null && 'read' in stream
}
