/** What carries a credential leaves only while the session is still its owner's. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startFakeGitHub } from '@longhaul/testing'
import type { GatewayHooks } from '../../src/gateway/policy.ts'
import { certified } from '../support/tls.ts'
import { isBound, leadingTo, ways } from './every-way.ts'
import { startGit } from './git-stage.ts'
import { startGateway, startUpstream } from './harness.ts'

const json = { 'content-type': 'application/json' }

for (const [what, asked] of Object.entries(ways)) {
  test(`${what} leaves while the session is held, and neither after it nor while that is unknown`, async () => {
    await using upstream = await startUpstream(
      (_request, response) => response.writeHead(200, json).end('{}'),
      ...(isBound(asked) ? [certified] : []),
    )
    let held: () => Promise<boolean> = async () => true
    await using gateway = await gatewayTo(upstream, () => held())
    assert.equal((await gateway.ask(asked)).status, 200)
    assert.equal(upstream.requests.length, 1)
    held = async () => false
    const lost = await gateway.ask(asked)
    assert.equal(lost.status, 503)
    assert.match(lost.text, /goes on elsewhere/)
    held = () => Promise.reject(new Error('the store is away'))
    const unknown = await gateway.ask(asked)
    assert.equal(unknown.status, 503)
    assert.match(unknown.text, /cannot be told/)
    assert.equal(upstream.requests.length, 1)
    // And it costs nothing: the next one leaves as the first did.
    held = async () => true
    assert.equal((await gateway.ask(asked)).status, 200)
  })
}

test('a model request that waited for its turn is asked about at its end, not at its beginning', async () => {
  await using upstream = await startUpstream((_request, response) => {
    response.writeHead(200, json).end('{}')
  })
  const stored = Promise.withResolvers<void>()
  const waits = Promise.withResolvers<void>()
  let isHeld = true
  const beforeModelRequest = (): Promise<void> => {
    waits.resolve()
    return stored.promise
  }
  await using gateway = await gatewayTo(upstream, async () => isHeld, { beforeModelRequest })
  const asked = ways['a model request'] ?? assert.fail('there is none')
  const pending = gateway.ask(asked)
  await waits.promise
  isHeld = false
  stored.resolve()
  assert.equal((await pending).status, 503)
  assert.equal(upstream.requests.length, 0)
})

test('a push names the commit that it replaces, so one that comes late replaces nothing newer', async (t) => {
  await using github = await startFakeGitHub({ token: 'token' })
  const app = await github.createRepository({ owner: 'acme', name: 'app', files: { a: '1\n' } })
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-late-'))
  t.after(() => rm(directory, { recursive: true }))
  const reached = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<null>()
  const mayPush = (): Promise<null> => {
    reached.resolve()
    return goOn.promise
  }
  await using first = await gatewayTo(github, async () => true, { mayPush })
  await using second = await gatewayTo(github, async () => true)
  const pushed = await commitAndPush({ directory, name: 'late', url: github.url, gateway: first })
  await reached.promise
  const next = await commitAndPush({ directory, name: 'next', url: github.url, gateway: second })
  assert.equal((await next.push).failed, false)
  goOn.resolve(null)
  assert.equal((await pushed.push).failed, true)
  assert.equal(await app.commits('agent/x').then(([tip]) => tip?.sha), next.commit)
})

function gatewayTo(
  { url }: { readonly url: string | URL },
  isHeld: GatewayHooks['isHeld'],
  hooks: Partial<GatewayHooks> = {},
) {
  return startGateway({ ...leadingTo(url), ...hooks, isHeld })
}

/** A commit of its own on the branch of the task, on its way through a gateway. */
async function commitAndPush(o: {
  readonly directory: string
  readonly name: string
  readonly url: string
  readonly gateway: { readonly socketPath: string }
}): Promise<{ commit: string; push: Promise<{ failed: boolean }> }> {
  const inside = await startGit(o)
  const clone = await inside.clone(o.name)
  await inside.git(clone, 'commit', '--quiet', '--allow-empty', '-m', o.name)
  const commit = (await inside.git(clone, 'rev-parse', 'HEAD')).output.trim()
  const push = async (): Promise<{ failed: boolean }> => {
    const { code } = await inside.git(clone, 'push', 'origin', '+HEAD:refs/heads/agent/x')
    await inside[Symbol.asyncDispose]()
    return { failed: code !== 0 }
  }
  return { commit, push: push() }
}
