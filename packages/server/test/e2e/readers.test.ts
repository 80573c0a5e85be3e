/** What a reader gets of a real task, while it runs and when its workspace is gone. */
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { artifactPage, eventPage, taskDiff } from '@longhaul/client/contract'
import { say, script, use, when } from '@longhaul/testing'
import { SocketClient } from '../delivery/socket-client.ts'
import { testKey } from '../support/server-api.ts'
import { until } from '../support/until.ts'
import { brokenSum, makeWorld, mend } from '../support/world.ts'

const fence = '```'
const scenario = script(
  when(
    'Make sum add',
    use('Bash', { command: mend }),
    use('Bash', { command: `printf 1 > "$(printf 'new\\nline')"` }),
    say(`sum.sh adds now.\n${fence}\n## 99 · Order · never\n${fence}`),
  ),
)

test('the difference of a task is there once it is committed, and stays, with its log and files', async () => {
  await using world = await makeWorld([scenario])
  const repository = await world.repository('sum', brokenSum)
  await using server = await world.start()
  const { id } = await server.order({
    repoUrl: repository.url,
    instructions: 'Make sum add.',
    checks: ['touch .git/waits; until test -e .git/goes; do sleep 0.1; done', 'npm test'],
  })
  const { session_id: sessionId } = await server.task(id)
  const watcher = await SocketClient.open(server.url, { key: testKey })
  watcher.subscribe(sessionId, { after: 0 })
  const git = join(world.dataDir, 'sessions', sessionId, 'workspace/.git')
  await until('the checks to begin', () => existsSync(join(git, 'waits')), 90_000)
  assert.equal((await server.task(id)).status, 'running')
  const early = await server.request(`/v1/tasks/${id}/diff`)
  const diff = taskDiff.parse(await early.json())
  assert.deepEqual(
    diff.files.map(({ path, status, hunks }) => [path, status, hunks[0]?.lines]),
    [
      ['new\nline', 'added', ['+1', String.raw`\ No newline at end of file`]],
      ['sum.sh', 'modified', ['-echo $(( $1 - $2 ))', '+echo $(( $1 + $2 ))']],
    ],
  )
  assert.deepEqual([diff.additions, diff.deletions, diff.truncated], [2, 1, false])
  writeFileSync(join(git, 'goes'), '')

  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))
  await until('the workspace to be gone', () => !existsSync(git))
  assert.equal(diff.commit, task.result?.commits.at(-1)?.sha)
  const patch = await server.request(`/v1/tasks/${id}/diff?format=patch`)
  assert.match(await patch.text(), /^\+echo \$\(\( \$1 \+ \$2 \)\)$/m)

  const transcript = await (await server.request(`/v1/tasks/${id}/transcript`)).text()
  assert.match(transcript, /^## 2 · Order · .*\n\n```markdown\nMake sum add\.\n```$/m)
  assert.match(transcript, /^````markdown\nsum\.sh adds now\.\n```\n## 99/m)
  const lines = await (await server.request(`/v1/tasks/${id}/transcript?format=jsonl`)).text()
  assert.equal(lines.trimEnd().split('\n').length, (await server.events(id)).length)

  await watcher.message(({ type, reason }) => type === 'unsubscribed' && reason === 'ended')
  assert.deepEqual(
    watcher.seqs(sessionId),
    (await server.events(id)).map(({ seq }) => seq),
  )

  const list = artifactPage.parse(await (await server.request(`/v1/tasks/${id}/artifacts`)).json())
  const names = list.data.map(({ name }) => name)
  assert.ok(names.includes('checks-1.log'), names.join())
  const path = `/v1/tasks/${id}/artifacts/checks-1.log`
  const whole = await (await server.request(path)).text()
  const part = await server.request(path, { headers: { range: 'bytes=-20' } })
  assert.equal(part.status, 206)
  assert.equal(await part.text(), Buffer.from(whole).subarray(-20).toString())

  const found = await server.request(`/v1/sessions/${sessionId}/events?q=sum.sh%20adds%20NOW`)
  const { data, total } = eventPage.parse(await found.json())
  assert.equal(total, data.length)
  assert.ok(data.some(({ type }) => type === 'agent.message'))

  assert.equal(await server.stop(), 0)
  await watcher.over
  assert.deepEqual(watcher.closed, { code: 1001, reason: 'draining' })
})
