import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { test } from 'node:test'
import { getSetting, putSettingIfAbsent } from '../../src/store/settings.ts'
import { makeDirectory, seedPostgres } from '../support/postgres.ts'
import { killProcess, openIn, openInProcess, postmasterPid } from '../support/stores.ts'
import { until } from '../support/until.ts'

test('a data directory is opened again after a kill -9 of its server, by adopting PostgreSQL', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  await killProcess(await openInProcess(directory.path))
  const pid = await postmasterPid(directory.path)
  await using store = await openIn(directory.path)
  assert.equal(await postmasterPid(directory.path), pid)
  assert.equal(await getSetting(store.db, 'opened'), 'once')
})

test('a second server on a data directory is refused with one sentence and the first goes on', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  await using first = await openIn(directory.path)
  await assert.rejects(openIn(directory.path), {
    message: `Another Longhaul server is using the data directory ${directory.path}: stop it, or choose another DATA_DIR.`,
  })
  await first.ping(AbortSignal.timeout(5000))
})

test('a postmaster that was killed with -9 before the start is replaced', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  await killProcess(await openInProcess(directory.path))
  process.kill(await postmasterPid(directory.path), 'SIGKILL')
  await using store = await openIn(directory.path)
  assert.equal(await getSetting(store.db, 'opened'), 'once')
})

test('a postmaster that is killed with -9 under an open store is started again', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  await using store = await openIn(directory.path)
  await putSettingIfAbsent(store.db, 'name', 'kept')
  // One connection is checked out and idle in a transaction: its loss must not end the process.
  const client = await store.pool.connect()
  await client.query('begin')
  process.kill(await postmasterPid(directory.path), 'SIGKILL')
  await until('the store answers again', async () => {
    return await getSetting(store.db, 'name').then(
      (value) => value === 'kept',
      () => false,
    )
  })
  await assert.rejects(client.query('select 1'))
  client.release(true)
  await until('the directory is locked again', async () => {
    const { rows } = await store.pool.query("select from pg_locks where locktype = 'advisory'")
    return rows.length === 1
  })
  assert.equal(store.lost.aborted, false)
})

// A mount namespace in which the program `unshare` is not there, as on a machine that refuses it.
const withoutUnshare = [
  ...['unshare', '--mount', 'sh', '-c'],
  'mount --bind /bin/false "$(command -v unshare)" && exec "$@"',
  'sh',
]
const [program = '', ...programArgs] = [...withoutUnshare, '/bin/true']
const canTry = spawnSync(program, programArgs).status === 0

test('a root server that gets no user namespace runs PostgreSQL as nobody', {
  skip: process.getuid?.() === 0 && canTry ? false : 'needs root and mount namespaces',
}, async () => {
  await using directory = await makeDirectory()
  await killProcess(await openInProcess(directory.path, { prefix: withoutUnshare }))
  const pid = await postmasterPid(directory.path)
  assert.equal((await stat(`/proc/${pid}`)).uid, 65_534)
  // A later start goes on as nobody, whatever the machine would allow then.
  await using store = await openIn(directory.path)
  assert.equal(await getSetting(store.db, 'opened'), 'once')
  assert.equal(await postmasterPid(directory.path), pid)
})
