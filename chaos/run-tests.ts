import { join } from 'node:path'
import { run } from 'node:test'

/** What came of one test: of a failure, the error's code and message. */
export type Outcome =
  | { readonly kind: 'passed' | 'skipped' | 'missing' }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

/** A sandbox that starts on a busy machine takes seconds; the real agent some more. */
const testMsMax = 60_000

/** Runs the tests of a file that have these titles, and tells what came of each. */
export async function runTests(o: {
  readonly root: string
  readonly test: string
  readonly titles: readonly string[]
  readonly signal: AbortSignal
}): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>(o.titles.map((title) => [title, { kind: 'missing' }]))
  const events = run({
    cwd: o.root,
    files: [join(o.root, o.test)],
    testNamePatterns: o.titles.map((title) => new RegExp(`^${escaped(title)}$`)),
    execArgv: ['--conditions=longhaul'],
    concurrency: 1,
    timeout: testMsMax,
    signal: o.signal,
  })
  events.on('test:pass', ({ name, skip }) => {
    if (outcomes.has(name))
      outcomes.set(name, { kind: skip === undefined || skip === false ? 'passed' : 'skipped' })
  })
  events.on('test:fail', ({ name, details }) => {
    if (outcomes.has(name)) outcomes.set(name, { kind: 'failed', ...causeOf(details.error) })
  })
  for await (const _ of events) o.signal.throwIfAborted()
  return outcomes
}

function causeOf(error: Error): { code: string; message: string } {
  const cause: unknown = error.cause ?? error
  if (!(cause instanceof Error)) return { code: '', message: String(cause) }
  const code = 'code' in cause ? String(cause.code) : cause.name
  return { code, message: cause.message }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
