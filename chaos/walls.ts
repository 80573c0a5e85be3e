import { parseArgs } from 'node:util'
import { type Mutation, mutations } from '../packages/server/test/walls/mutations.ts'
import { type Outcome, runTests } from './run-tests.ts'
import { copyTree, type Tree } from './tree.ts'

/** Trees that are tried at once: a test is half the time waiting for processes to start. */
const treesMax = 2
/** All of it takes a few minutes. */
const wallsMsMax = 30 * 60_000

/** `red`: its test noticed that the wall was gone. The rest are three ways of not knowing that. */
type Verdict = 'red' | 'green' | 'broken' | 'skipped'

/**
 * Takes away one wall after the other, each in a copy of the tree, and runs the one test that has
 * to notice: it must have passed before, and fail by an assertion about its canary. The exit code
 * is 1 unless every test did, or was left out on this host with whole walls too.
 */
export async function walls(args: readonly string[]): Promise<number> {
  const { only, json } = read(args)
  const chosen = mutations.filter(
    (one) => only.length === 0 || only.some((text) => names(one, text)),
  )
  if (chosen.length === 0) throw new Error(`no wall or title has ${only.join(' or ')}`)
  const stopped = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => stopped.abort(new Error(`stopped by ${name}`)))
  const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(wallsMsMax)])
  const before = await runUnchanged(chosen, signal)
  const verdicts: Verdict[] = []
  await inTrees(chosen, async (mutation, tree) => {
    const whole = before.get(keyOf(mutation)) ?? { kind: 'missing' }
    const [verdict, why] = await tryWithout({ mutation, whole, tree, signal })
    verdicts.push(verdict)
    report({ mutation, verdict, why, json })
  })
  const count = (verdict: Verdict) => verdicts.filter((one) => one === verdict).length
  const [red, green, broken, skipped] = [
    count('red'),
    count('green'),
    count('broken'),
    count('skipped'),
  ]
  if (!json) console.log(`${red} of ${chosen.length} walls were missed when they were gone.`)
  const rest = { ...(broken > 0 && { broken }), ...(skipped > 0 && { skipped }) }
  console.log(JSON.stringify({ walls: chosen.length, red, green, ...rest }))
  return red + skipped === chosen.length ? 0 : 1
}

function read(args: readonly string[]): { only: readonly string[]; json: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'boolean', default: false },
    },
  })
  return values
}

/** By a part of the wall's name, or of its test's title. */
function names({ wall, title }: Mutation, text: string): boolean {
  return `${wall}\n${title}`.toLowerCase().includes(text.toLowerCase())
}

/** Every test of the list once, with all walls in place. */
async function runUnchanged(
  chosen: readonly Mutation[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Outcome>> {
  const found = new Map<string, Outcome>()
  const files = [...Map.groupBy(chosen, ({ test }) => test)]
  await inTrees(files, async ([test, ofFile], { root }) => {
    const titles = [...new Set(ofFile.map(({ title }) => title))]
    const outcomes = await runTests({ root, test, titles, signal })
    for (const [title, outcome] of outcomes) found.set(keyOf({ test, title }), outcome)
  })
  return found
}

async function tryWithout(o: {
  readonly mutation: Mutation
  readonly whole: Outcome
  readonly tree: Tree
  readonly signal: AbortSignal
}): Promise<[Verdict, string]> {
  const { test, title } = o.mutation
  if (o.whole.kind === 'skipped') return ['skipped', 'not run on this host']
  if (o.whole.kind !== 'passed') return ['broken', `with all walls: ${told(o.whole)}`]
  const patches = [o.mutation, ...(o.mutation.also ?? [])]
  const { root } = o.tree
  const outcomes = await o.tree.changed(patches, () =>
    runTests({ root, test, titles: [title], signal: o.signal }),
  )
  const outcome = outcomes.get(title) ?? { kind: 'missing' }
  if (outcome.kind === 'passed') return ['green', 'its test did not notice']
  const isNoticed = outcome.kind === 'failed' && outcome.code === 'ERR_ASSERTION'
  if (isNoticed && /canary/i.test(outcome.message)) return ['red', outcome.message]
  return ['broken', `without the wall: ${told(outcome)}`]
}

function told(outcome: Outcome): string {
  return outcome.kind === 'failed' ? `${outcome.code} ${outcome.message}` : outcome.kind
}

/** Works through a list in as many copies of the tree as are tried at once. */
async function inTrees<T>(
  list: readonly T[],
  each: (one: T, tree: Tree) => Promise<void>,
): Promise<void> {
  const rest = list.values()
  const worked = Array.from({ length: Math.min(treesMax, list.length) }, async () => {
    await using tree = await copyTree()
    for (const one of rest) await each(one, tree)
  })
  // Every copy is removed, also when another one's work failed.
  await Promise.allSettled(worked)
  await Promise.all(worked)
}

function keyOf({ test, title }: Pick<Mutation, 'test' | 'title'>): string {
  return `${test} ${title}`
}

function report(o: {
  readonly mutation: Mutation
  readonly verdict: Verdict
  readonly why: string
  readonly json: boolean
}): void {
  const { wall, title } = o.mutation
  const why = o.why.split('\n')[0] ?? ''
  if (o.json) console.log(JSON.stringify({ wall, title, verdict: o.verdict, why }))
  else console.log(`${o.verdict.padEnd(7)} ${wall}: ${title} (${why})`)
}
