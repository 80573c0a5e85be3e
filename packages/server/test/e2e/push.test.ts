/** Where the work goes, whatever the agent or the remote does to a push. */
import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type FakeGitHub, say, script, startFakeGitHub, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { assertWholeLog, brokenSum, makeWorld, mend, type World } from '../support/world.ts'

/** Every setting that leads a push by URL elsewhere, so that git there says it succeeded. */
const lure = [
  'url=$(git config remote.origin.url)',
  'fake="$HOME/fake.git"; git init --quiet --bare "$fake"',
  'for scope in --global --local; do',
  '  git config $scope protocol.ext.allow always',
  '  git config $scope "url.ext::%S $fake.insteadOf" "$url"',
  '  git config $scope "url.ext::%S $fake.pushInsteadOf" "$url"',
  '  git config $scope "remote.$url.pushurl" "ext::%S $fake"',
  '  git config $scope http.proxy http://127.0.0.1:1',
  'done',
  'git push -q "$url" HEAD:refs/heads/lured && echo "lured: $(git -C "$fake" for-each-ref)"',
].join('\n')

const detour = [
  'git commit -q --allow-empty -m sly && git push -q origin HEAD && echo "own: pushed"',
  'git push origin HEAD:refs/heads/agent/somebody-else',
  'git reset -q --hard HEAD~1',
].join('\n')

let world: World
let server: ServerProcess
let plain: FakeGitHub
before(async () => {
  world = await makeWorld([
    script(
      when('Lure', use('Bash', { command: mend }), use('Bash', { command: lure }), say('Mended.')),
      when('Push', use('Bash', { command: detour }), use('Bash', { command: mend }), say('Done.')),
      when('Mend', use('Bash', { command: mend }), say('Mended.')),
    ),
  ])
  plain = await startFakeGitHub()
  server = await world.start({ GATEWAY_ALLOW_PRIVATE: new URL(plain.url).host })
})
after(async () => {
  await plain.close()
  await world[Symbol.asyncDispose]()
})

async function run(name: string, instructions: string, postReceive?: string) {
  const repository = await plain.createRepository({
    ...{ owner: 'acme', name, files: brokenSum, openPush: true },
  })
  if (postReceive !== undefined) {
    const hook = join(repository.directory, 'hooks', 'post-receive')
    await writeFile(hook, postReceive)
    await chmod(hook, 0o755)
  }
  const { id } = await server.order({
    ...{ type: 'refactor', priority: 'medium', repoUrl: repository.url, instructions },
  })
  const task = await server.ended(id)
  const events = await server.events(id)
  assertWholeLog(events)
  const said = JSON.stringify(events.filter(({ type }) => type === 'agent.tool_result'))
  return { repository, id, task, said, events }
}

test('an agent that points git elsewhere does not decide where the work goes', async () => {
  const { repository, task, said } = await run('lure', 'Lure the push away.')
  assert.match(said, /lured: [0-9a-f]{40} commit\\+trefs\/heads\/lured/)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'])
  assert.equal(await repository.fileAt(branch, 'sum.sh'), 'echo $(( $1 + $2 ))\n')
})

test('an agent may push to the branches of its task, and what was checked replaces it', async () => {
  const { repository, task, said } = await run('detour', 'Push something else first.')
  assert.match(said, /own: pushed/)
  assert.match(said, /remote rejected.*Only refs\/heads\/agent\/.* may be pushed from a sandbox/)
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  const branch = task.result?.branch ?? ''
  assert.deepEqual((await repository.branches()).sort(), [branch, 'main'])
  const commits = await repository.commits(branch)
  assert.deepEqual(
    commits.map(({ subject }) => subject),
    ['Push something else first.', 'First commit'],
  )
})

test('a push that git reports, but the remote does not have, is no push', async () => {
  const drop =
    '#!/bin/sh\nwhile read old new ref; do git update-ref -d "$ref"; done >/dev/null 2>&1\n'
  const { id, task, events } = await run('dropped', 'Mend the sum.', drop)
  assert.equal(task.status, 'failed')
  assert.equal(task.reason, 'push_rejected')
  assert.match(task.error?.message ?? '', /git reported success, but the remote has no such branch/)
  assert.ok(!events.some(({ type }) => type === 'workspace.pushed'))
  assert.match(await server.artifact(id, 'work.patch'), /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)
})

test('a push whose answer was lost is found on the remote by the next attempt', async () => {
  plain.beforeRequest(({ action }) => {
    if (action !== 'push') return undefined
    plain.beforeRequest(null)
    return 'lose_answer'
  })
  const { repository, task, events } = await run('lost', 'Mend the sum.')
  assert.equal(task.reason, 'done', JSON.stringify(task.error))
  assert.deepEqual((await repository.branches()).sort(), [task.result?.branch ?? '', 'main'])
  assert.equal(plain.pushes.filter(({ repository: name }) => name === 'acme/lost').length, 1)
  assert.equal(events.filter(({ type }) => type === 'session.status_rescheduled').length, 1)
  assert.equal(events.filter(({ type }) => type === 'workspace.pushed').length, 1)
})
