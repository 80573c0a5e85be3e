/**
 * A sandbox that outlives the right to it: its worker lost the lease, another one has the session, and
 * two of them would push, spend and comment at once. Tried from inside, on every way that adds a
 * credential.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { GatewayHooks } from '../../src/gateway/policy.ts'
import { isBound, leadingTo, ways } from '../gateway/every-way.ts'
import { startUpstream } from '../gateway/harness.ts'
import { type Bench, openBench } from '../sandbox/support.ts'
import { certified } from '../support/tls.ts'
import { attack } from './attack.ts'
import { asking, openWayOut } from './way-out.ts'

let bench: Bench
before(async () => {
  bench = await openBench()
})
after(() => bench[Symbol.asyncDispose]())

/** Tries every way; gives the paths that were asked for outside. */
async function sent(slot: number, isHeld: GatewayHooks['isHeld']): Promise<string[]> {
  const paths: string[] = []
  for (const bound of [false, true]) {
    await using upstream = await startUpstream(
      (_request, response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}'),
      ...(bound ? [certified] : []),
    )
    await using wayOut = await openWayOut(bench, bound ? slot + 1 : slot, {
      ...leadingTo(upstream.url),
      isHeld,
    })
    const { sandbox } = wayOut
    const tries = Object.values(ways)
      .filter((asked) => isBound(asked) === bound)
      .map((asked) => asking(sandbox, asked))
    await attack(sandbox, tries.join('\n'), { network: true })
    paths.push(...upstream.requests.map(({ path }) => path))
  }
  return paths
}

test('what carries a credential leaves no session that another worker has by now', async () => {
  assert.equal((await sent(980, async () => true)).length, Object.keys(ways).length)
  const left = await sent(982, async () => false)
  assert.deepEqual(left, [], 'a canary request left with a credential')
})

test('what carries a credential does not leave while nobody can tell whose the session is', async () => {
  const left = await sent(984, () => Promise.reject(new Error('the store is away')))
  assert.deepEqual(left, [], 'a canary request left with a credential')
})
