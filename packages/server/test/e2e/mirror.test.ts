/** What one task of a repository leaves for the next, and what it cannot leave. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { type FakeRepository, say, script, use, when } from '@longhaul/testing'
import type { ServerProcess } from '../support/server.ts'
import { brokenSum, makeWorld, mend, type World } from '../support/world.ts'

let world: World
let server: ServerProcess
before(async () => {
  world = await makeWorld([
    script(
      when(
        'Look',
        use('Bash', { command: 'find / -name HEAD -not -path "/proc/*" 2>/dev/null; ls -R ~' }),
        say('Seen.'),
      ),
      when(
        'Poison',
        use('Bash', { command: `${mend}; echo poison > ~/.npm/_cacache/kept` }),
        say('Mended.'),
      ),
      when('Mend', use('Bash', { command: mend }), say('Mended.')),
    ),
  ])
  server = await world.start()
})
after(() => world[Symbol.asyncDispose]())

async function run(repository: FakeRepository, order: object = {}) {
  const { id } = await server.order({
    ...{ type: 'refactor', priority: 'medium', instructions: 'Mend.', repoUrl: repository.url },
    ...order,
  })
  return server.ended(id)
}

/** Requests for objects or refs since the last call. */
function fetches(): number {
  const count = world.github.requests.filter(
    ({ method, path }) => method === 'POST' && path.endsWith('/git-upload-pack'),
  ).length
  const since = count - counted
  counted = count
  return since
}
let counted = 0

test('the second task of a repository fetches no objects; the mirror follows what was pushed', async () => {
  const repository = await world.repository('twice', brokenSum)
  fetches()
  assert.equal((await run(repository)).reason, 'done')
  const first = fetches()
  assert.equal((await run(repository)).reason, 'done')
  assert.equal(fetches(), first - 2, 'the host is asked for its branches, and for nothing else')
  const git = ['-C', repository.directory]
  const { stdout: tree } = await promisify(execFile)('git', [...git, 'rev-parse', 'main^{tree}'])
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b']
  const commit = [...git, ...identity, 'commit-tree', tree.trim(), '-p', 'main', '-m', 'newer']
  const { stdout: newer } = await promisify(execFile)('git', commit)
  await promisify(execFile)('git', [...git, 'update-ref', 'refs/heads/main', newer.trim()])
  const { id } = await run(repository)
  const cloned = (await server.events(id)).find(({ type }) => type === 'workspace.cloned')
  assert.equal(cloned?.['base_commit'], newer.trim())
  const head = `agent/${id}`
  const [branch = head] = (await repository.branches()).filter((name) =>
    name.includes(id.slice(-8)),
  )
  assert.equal((await repository.commits(branch))[1]?.sha, newer.trim())
})

test('a mirror that is broken is made anew, and the task does not notice', async () => {
  const repository = await world.repository('broken', brokenSum)
  assert.equal((await run(repository)).reason, 'done')
  const mirrors = join(world.dataDir, 'repositories')
  const whole = (await readdir(mirrors)).filter((name) => !name.endsWith('.json'))
  for (const name of whole) {
    await rm(join(mirrors, name, 'workspace', 'objects'), { recursive: true })
  }
  assert.equal((await run(repository)).reason, 'done')
  assert.equal((await run(repository)).reason, 'done')
  const left = (await readdir(mirrors)).filter((name) => !name.endsWith('.json'))
  const remade = left.filter((name) => existsSync(join(mirrors, name, 'workspace', 'objects')))
  assert.equal(remade.length, 1, 'the one of this repository')
})

test('a mirror that cannot even be opened, or noted, costs the task nothing', async () => {
  const repository = await world.repository('stuck', brokenSum)
  const before = await readdir(join(world.dataDir, 'repositories'))
  assert.equal((await run(repository)).reason, 'done')
  const now = await readdir(join(world.dataDir, 'repositories'))
  const note = now.find((name) => name.endsWith('.json') && !before.includes(name))
  assert.ok(note)
  await rm(join(world.dataDir, 'repositories', note))
  await mkdir(join(world.dataDir, 'repositories', note, 'in-the-way'), { recursive: true })
  assert.equal((await run(repository)).reason, 'done')
})

test('an agent never sees a mirror, and its clone shares no object with one', async () => {
  const repository = await world.repository('unseen', brokenSum)
  const { id } = await run(repository, { type: 'analysis', instructions: 'Look.' })
  const [seen = ''] = await server.toolResults(id)
  assert.match(seen, /workspace\/\.git\/HEAD/)
  assert.doesNotMatch(seen, /repositories|alternates/)
})

test('caches of a set-up on the default branch, and of no other, are there for the next', async () => {
  const repository = await world.repository('cached', { ...brokenSum, 'requirements.txt': '' })
  const git = ['-C', repository.directory, 'branch']
  await promisify(execFile)('git', [...git, 'other', 'main'])
  const fill = (word: string) => [`mkdir -p ~/.npm/_cacache && echo ${word} > ~/.npm/_cacache/kept`]
  const show = { setup: ['cat ~/.npm/_cacache/kept'] }
  const other = await run(repository, { baseBranch: 'other', setup: fill('other') })
  assert.equal(other.reason, 'done')
  assert.equal((await run(repository, show)).reason, 'setup_failed')
  const poison = { setup: fill('default'), instructions: 'Poison.' }
  assert.equal((await run(repository, poison)).reason, 'done')
  const { id, reason } = await run(repository, show)
  assert.equal(reason, 'done')
  assert.equal((await server.artifact(id, 'setup.log')).trim(), 'default')
})
