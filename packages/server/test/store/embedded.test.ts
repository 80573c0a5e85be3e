import assert from 'node:assert/strict'
import { mkdir, readdir, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { getSetting, putSettingIfAbsent } from '../../src/store/settings.ts'
import { makeDirectory, seedPostgres } from '../support/postgres.ts'
import { openIn } from '../support/stores.ts'

/** Processes that work in the data directory: PostgreSQL's, all of them. */
async function processesIn(pgdata: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const found = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => '')))
  return pids.filter((_, at) => found[at] === pgdata)
}

test('an empty directory becomes a durable store that only its owner can reach', async () => {
  await using directory = await makeDirectory()
  const pgdata = join(directory.path, 'data', 'postgres18')
  {
    await using store = await openIn(join(directory.path, 'data'))
    assert.equal(store.kind, 'embedded')
    await store.ping(AbortSignal.timeout(5000))
    const { rows } = await store.pool.query(
      "select current_setting('fsync') as fsync, current_setting('listen_addresses') as tcp, current_setting('data_checksums') as checksums, 7::bigint as big, 0.5::numeric as exact",
    )
    assert.deepEqual(rows, [{ fsync: 'on', tcp: '', checksums: 'on', big: 7, exact: 0.5 }])
    assert.equal((await stat(pgdata)).mode & 0o777, 0o700)
    assert.ok((await processesIn(pgdata)).length > 0)
  }
  assert.deepEqual(await processesIn(pgdata), [], 'closing stops PostgreSQL')
})

test('a store that was closed opens again with what it held, as the same node', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  let node = ''
  {
    await using store = await openIn(directory.path)
    node = store.node
    await putSettingIfAbsent(store.db, 'name', 'kept')
  }
  // Its log is cut at a start when it has grown too large.
  await writeFile(join(directory.path, 'postgres.log'), Buffer.alloc(9 * 1024 * 1024, 'x\n'))
  await using store = await openIn(directory.path)
  assert.equal(await getSetting(store.db, 'name'), 'kept')
  assert.equal(store.node, node)
  assert.ok((await stat(join(directory.path, 'postgres.log'))).size < 64 * 1024)
})

test('a pid file that names a process of somebody else does not keep PostgreSQL from starting', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  const pgdata = join(directory.path, 'postgres18')
  const stale = `${process.pid}\n${pgdata}\n1700000000\n5432\n${pgdata}\n\n0 0\nready\n`
  await writeFile(join(pgdata, 'postmaster.pid'), stale)
  await using store = await openIn(directory.path)
  await store.ping(AbortSignal.timeout(5000))
})

test('an initdb that was killed half-way leaves nothing that looks finished', async () => {
  await using directory = await makeDirectory()
  const half = join(directory.path, 'postgres18.new-00000000')
  await mkdir(half)
  await writeFile(join(half, 'PG_VERSION'), '18\n')
  await using store = await openIn(directory.path)
  await store.ping(AbortSignal.timeout(5000))
  assert.deepEqual(
    (await readdir(directory.path)).filter((name) => name.startsWith('postgres18')),
    ['postgres18'],
  )
})

test('a data directory with a path too long for a socket, and odd characters in it, works', async () => {
  await using directory = await makeDirectory()
  const deep = join(directory.path, 'a'.repeat(60), 'b c\'$(d)",'.repeat(5))
  let host: string | undefined
  {
    await mkdir(deep, { recursive: true })
    await seedPostgres(deep)
    await using store = await openIn(deep)
    host = store.connection.host
    assert.ok(`${host}/.s.PGSQL.5432.lock`.length <= 107)
    await store.ping(AbortSignal.timeout(5000))
  }
  await assert.rejects(stat(host ?? ''), { code: 'ENOENT' })
})

test('a PostgreSQL that cannot start says why', async () => {
  await using directory = await makeDirectory()
  await seedPostgres(directory.path)
  await writeFile(join(directory.path, 'postgres18', 'postgresql.conf'), 'nonsense = 1\n')
  await assert.rejects(openIn(directory.path), /does not start: .*(FATAL|nonsense)/)
  const other = join(directory.path, 'other')
  await mkdir(join(other, 'postgres18'), { recursive: true })
  await writeFile(join(other, 'postgres18', 'PG_VERSION'), '17\n')
  await assert.rejects(openIn(other), /belongs to PostgreSQL 17, not 18/)
})
