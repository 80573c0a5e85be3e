/** What a scripted agent finds that searches its sandbox for the server's secrets, and for ways out. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { say, script, use, when } from '@longhaul/testing'
import { testKey } from '../support/server-api.ts'
import { brokenSum, makeWorld, mend, secrets } from '../support/world.ts'

/** The brackets keep the search from finding itself. */
const search = [
  'w="[c]anary-"; k="[t]est-key-"',
  'echo "control: $(D=can""ary-decoy env | grep -c -e "$w")"',
  'echo "env: $(env | grep -c -e "$w" -e "$k")"',
  'echo "environs: $(cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" | grep -c -e "$w" -e "$k")"',
  'echo "argv: $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n" | grep -c -e "$w" -e "$k")"',
  'echo "files: $(grep -rIl -e "$w" -e "$k" / --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr 2>/dev/null | xargs -r -n1 basename | tr "\\n" " ")"',
].join('\n')

function textOf(content: unknown): string {
  const blocks: unknown[] = Array.isArray(content) ? content : []
  return blocks.map((block) => String(Reflect.get(Object(block), 'text'))).join('\n')
}

const probe = (label: string, command: string): string =>
  `if ${command} >/dev/null 2>&1; then echo "${label}: REACHED"; else echo "${label}: no"; fi`

test('no secret of the server is in the sandbox, and nothing but the gateway can be reached', async () => {
  const listener = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number }
  const tcp = (host: string, at: number): string => `timeout 3 bash -c '</dev/tcp/${host}/${at}'`
  const waysOut = [
    probe('loopback of the host', tcp('127.0.0.1', port)),
    probe('metadata', tcp('169.254.169.254', 80)),
    probe('a public address', tcp('192.0.2.1', 443)),
    probe('a name', 'getent hosts example.com'),
    probe('loopback through the proxy', `curl -sf -m 5 -x "$HTTP_PROXY" http://127.0.0.1:${port}/`),
    probe(
      'metadata through the proxy',
      'curl -sf -m 5 --noproxy "" -x "$HTTP_PROXY" http://169.254.169.254/',
    ),
    probe('an unlisted host', 'curl -sf -m 5 https://example.com/'),
    probe('another model route', 'curl -sf -m 5 "$ANTHROPIC_BASE_URL/v1/files"'),
    probe('the store', 'ls "$(dirname "$(dirname "$(dirname "$HOME")")")"/postgres18'),
    probe('the kernel settings', 'test -w /proc/sys/kernel/core_pattern'),
    'echo "uid: $(id -u)"',
  ].join('\n')
  const push = [
    mend,
    'git -c user.name=a -c user.email=a@b commit -qam "direct"',
    'git push origin HEAD:refs/heads/main 2>&1 | tail -3',
    'git push origin --delete main 2>&1 | tail -3',
    'git push origin HEAD:refs/tags/v1 2>&1 | tail -3',
  ].join('\n')
  await using world = await makeWorld([
    script(
      when(
        'Search everything',
        use('Bash', { command: search }),
        use('Bash', { command: waysOut }),
        use('Bash', { command: push }),
        say('Nothing found.'),
      ),
    ),
  ])
  const repository = await world.repository('sum', { ...brokenSum, 'decoy.txt': 'canary-decoy\n' })
  const before = await repository.commits('main')
  await using server = await world.start({ CANARY_OF_THE_ENVIRONMENT: 'canary-environment-33dd' })
  const { id } = await server.order({
    type: 'refactor',
    repoUrl: repository.url,
    instructions: 'Search everything.',
    priority: 'medium',
  })
  const task = await server.ended(id)
  listener.close()
  assert.equal(task.status, 'completed', JSON.stringify(task.error))

  const events = await server.events(id)
  const [found = '', reached = '', pushed = ''] = events
    .filter(({ type }) => type === 'agent.tool_result')
    .map((event) => textOf(event['content']))
  // The decoys show that the search finds what there is.
  assert.deepEqual(
    found.split('\n').map((line) => line.trim()),
    ['control: 1', 'env: 0', 'environs: 0', 'argv: 0', 'files: decoy.txt'],
  )
  assert.doesNotMatch(reached, /REACHED/, reached)
  assert.equal((reached.match(/: no/g) ?? []).length, 10, reached)
  assert.doesNotMatch(reached, /uid: 0\b/)
  assert.match(pushed, /refs\/heads\/agent\//)
  assert.deepEqual(await repository.commits('main'), before)
  assert.deepEqual((await repository.branches()).sort(), [task.result?.branch ?? '', 'main'].sort())
  assert.ok(events.some(({ type }) => type === 'workspace.connection_denied'))

  // The secrets were used, on the way out; and nothing that the server tells has them.
  assert.ok(world.github.requests.some(({ authorization }) => authorization !== null))
  const told = JSON.stringify([events, task, await server.workflow(id), server.output])
  for (const secret of [...Object.values(secrets), testKey, 'canary-environment']) {
    assert.ok(!told.includes(secret), secret)
  }
})
