import { once } from 'node:events'
import type { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { ExecOptions, ExecResult } from './driver.ts'
import { drainMs } from './limits.ts'
import { BoundedOutput } from './output.ts'
import type { Running } from './running.ts'

/**
 * Takes a started command to its end within its bounds. Whatever ends it first (its exit, the
 * timeout, the signal) decides what comes of it; in every case nothing of it is left.
 */
export async function finish(
  running: Running,
  o: ExecOptions & { readonly clock: Clock },
): Promise<ExecResult> {
  const startedAt = o.clock.now()
  const stdout = collect(running.process.stdout, o)
  const stderr = collect(running.process.stderr, o)
  let cut: 'timeout' | 'abort' | null = null
  const stop = (reason: 'timeout' | 'abort') => {
    cut ??= reason
    running.kill()
  }
  const abort = () => stop('abort')
  using _timer = o.clock.after(o.timeoutMs, () => stop('timeout'))
  o.signal.addEventListener('abort', abort, { once: true })
  try {
    running.process.stdin.end(o.input)
    await running.ended
  } finally {
    o.signal.removeEventListener('abort', abort)
  }
  await Promise.all([stdout.drained(), stderr.drained()])
  return judge({ running, cut, signal: o.signal, stdout, stderr, ms: o.clock.now() - startedAt })
}

interface Collected {
  readonly output: BoundedOutput
  /** Resolves when all was read, or after `drainMs`: a stray may hold the other end. */
  drained(): Promise<void>
}

function collect(stream: Readable, o: ExecOptions & { readonly clock: Clock }): Collected {
  const output = new BoundedOutput(o.outputBytesMax)
  const closed = once(stream, 'close').then(
    () => undefined,
    () => undefined, // A read error ends the output; the exit code tells the rest.
  )
  stream.on('data', (chunk: Buffer) => {
    output.write(chunk)
    o.onOutput?.(chunk)
  })
  return {
    output,
    async drained() {
      using _timer = o.clock.after(drainMs, () => stream.destroy())
      await closed
    },
  }
}

function judge(o: {
  readonly running: Running
  readonly cut: 'timeout' | 'abort' | null
  readonly signal: AbortSignal
  readonly stdout: Collected
  readonly stderr: Collected
  readonly ms: number
}): ExecResult {
  if (o.cut === 'abort') throw o.signal.reason
  const stderr = o.stderr.output.toString()
  const failure = o.cut === null ? o.running.failure(stderr) : null
  if (failure !== null) throw failure
  return {
    exitCode: o.cut === null ? o.running.process.exitCode : null,
    stdout: o.stdout.output.toString(),
    stderr,
    truncated: o.stdout.output.truncated || o.stderr.output.truncated,
    timedOut: o.cut === 'timeout',
    durationMs: o.ms,
  }
}
