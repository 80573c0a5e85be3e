/** The agent's shell has gh, and GitHub through it, without a credential. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { until } from '../support/until.ts'
import { makeWorld } from '../support/world.ts'

const commands = [
  'gh api "repos/{owner}/{repo}/issues/1" -q .title',
  'gh api "repos/{owner}/{repo}/issues/1/comments" -f body="Mended, I hope." -q .body',
  'gh api "repos/{owner}/{repo}/issues/2/comments" -f body=Spam 2>&1',
  'gh api -X PUT "repos/{owner}/{repo}/pulls/1/merge" 2>&1',
  'echo x > "$GH_CONFIG_DIR/config.yml"; gh config set editor x 2>&1',
  'env | grep -c "^GH_TOKEN=placeholder$"',
]
const scenario = script(
  when('Mend #1.', ...commands.map((command) => use('Bash', { command })), say('Done.')),
)

test('gh in the sandbox reads its repository, comments where the order says, and does no more', async () => {
  await using world = await makeWorld([scenario])
  const repository = await world.repository('talk', { 'a.txt': 'a\n' })
  for (const title of ['It is broken', 'Another'])
    repository.talk.open({ title, body: '', author: 'ada', labels: [] })
  await using server = await world.start()
  const { id } = await server.order({ repoUrl: repository.url, instructions: 'Mend #1.' })
  assert.equal((await server.ended(id)).status, 'completed')
  const [title, comment, spam, merge, settings, placeholder] = await server.toolResults(id)
  assert.equal(title?.trim(), 'It is broken')
  assert.equal(comment?.trim(), 'Mended, I hope.')
  assert.match(spam ?? '', /#2 is neither this task's pull request nor named in its order/)
  assert.match(merge ?? '', /Only comments on an issue or a pull request may be written/)
  assert.match(settings ?? '', /read-only|not permitted|denied/i)
  assert.equal(placeholder?.trim(), '1')
  assert.deepEqual(
    repository.talk.comments.map(({ number, body }) => [number, body]),
    [[1, 'Mended, I hope.']],
  )
  const events = await server.events(id)
  assert.deepEqual(
    events.filter(({ type }) => type === 'task.commented').map((event) => event['number']),
    [1],
  )
  await until('the audit has the merge', async () =>
    (await server.audit(id)).some(({ asked }) => String(asked).endsWith('/pulls/1/merge')),
  )
})
