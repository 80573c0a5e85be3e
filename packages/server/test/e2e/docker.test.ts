import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, script, startFakeDocker, use, when } from '@longhaul/testing'
import { makeWorld } from '../support/world.ts'

const docker = (what: string, input: Readonly<Record<string, unknown>>) =>
  use(`mcp__longhaul__docker_${what}`, { name: 'app', ...input })

const tricks = [
  'mkdir -p app/sub && ln -s /etc/passwd app/passwd && ln -s ../.. app/up && mkfifo app/pipe',
  'ln app/app.txt app/sub/hard.txt && ln -s app linked && mkdir app/.git && touch app/.git/x',
  "printf 'FROM evil\\n' > Evilfile",
].join(' && ')

const scenario = script(
  when(
    'Build an image',
    use('Bash', { command: tricks }),
    docker('build', { context: 'app' }),
    docker('run', { command: ['cat', 'app.txt'] }),
    docker('build', { dockerfile: 'Evilfile' }),
    docker('build', { context: 'linked' }),
    docker('build', { context: '../other' }),
    docker('build', { dockerfile: 'app/passwd' }),
    docker('run', { name: 'other' }),
    say('Built.'),
  ),
)

test('an agent builds and runs images of its workspace, and nothing of them is left', async () => {
  await using world = await makeWorld([scenario])
  await using engine = await startFakeDocker({
    images: ['node:24-slim'],
    run: ({ command, build }) => ({ stdout: `${command.join(' ')}: ${build.files['app.txt']}` }),
  })
  await using server = await world.start({
    DOCKER_ENGINE: engine.url,
    DOCKER_BASE_IMAGES: 'docker.io/library/node:24-slim',
  })
  const repository = await world.repository('app', {
    Dockerfile: 'FROM node:24-slim\nCOPY app.txt /\n',
    'app/app.txt': 'hello',
  })
  const order = { type: 'custom', repoUrl: repository.url, instructions: 'Build an image.' }
  const { id } = await server.order(order)
  const task = await server.ended(id)
  assert.equal(task.status, 'completed', JSON.stringify(task.error))

  const results = (await server.events(id)).filter(({ type }) => type === 'agent.mcp_tool_result')
  const [built, ran, evil, linked, up, link, other] = results.map(({ content }) =>
    String(Reflect.get(Object(Array.isArray(content) ? content[0] : null), 'text')),
  )
  assert.match(built ?? '', /Built app\.$/)
  assert.deepEqual(engine.builds[0]?.files, { 'app.txt': 'hello', 'sub/hard.txt': 'hello' })
  assert.equal(ran, 'cat app.txt: hello')
  assert.match(evil ?? '', /evil is not among the images.*node:24-slim/)
  assert.match(linked ?? '', /no such directory, or a link leads there/)
  assert.match(up ?? '', /may lead out of the workspace/)
  assert.match(link ?? '', /link/)
  assert.match(other ?? '', /No such image/)
  assert.equal(engine.builds.length, 1)
  assert.deepEqual([engine.images(), engine.containers(), engine.refusals], [[], [], []])
})
