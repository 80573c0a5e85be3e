/** What a test leaves behind fails it: the check itself, on things that are left on purpose. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { assertNothingIn, watchHandles } from './support/leaks.ts'
import { makeDirectory } from './support/postgres.ts'

/** What is left on purpose is left at once. */
const limitMs = 50

test('a listener and a child process are leaks of the process that has them', async () => {
  const assertNoMore = watchHandles(limitMs)
  const server = createServer().listen(0, '127.0.0.1')
  const child = spawn('sleep', ['60'])
  await Promise.all([once(server, 'listening'), once(child, 'spawn')])
  await assert.rejects(assertNoMore(), /left: TCPServerWrap; ProcessWrap/)
  server.close()
  child.kill()
  await once(child, 'exit')
  await assertNoMore()
})

test('a process that works in a directory, or is told of it, is a leak until it has ended', async () => {
  await using directory = await makeDirectory()
  const { path } = directory
  for (const options of [{ cwd: path }, { env: { ...process.env, DATA_DIR: path } }]) {
    await assertNothingIn(path, limitMs)
    const child = spawn('sleep', ['60'], options)
    await once(child, 'spawn')
    await assert.rejects(assertNothingIn(path, limitMs), /a process is left in .*: \d+ sleep 60/)
    child.kill()
    await once(child, 'exit')
  }
  await assertNothingIn(path)
})

test('a socket in a directory is a leak until it is closed', async () => {
  await using directory = await makeDirectory()
  const server = createServer().listen(join(directory.path, 'gateway'))
  await once(server, 'listening')
  await assert.rejects(assertNothingIn(directory.path, limitMs), /a socket is left in .*gateway/)
  server.close()
  await assertNothingIn(directory.path)
})
