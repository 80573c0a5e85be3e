/** Who may be in a mirror with whom, and which mirrors give way. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Door } from '../../src/runner/door.ts'
import { MirrorNotes } from '../../src/runner/mirror-notes.ts'
import { makeDirectory } from '../support/postgres.ts'

const never = new AbortController().signal

/** A visit that lasts until it is told to go. */
function visit(log: string[], name: string) {
  const { promise, resolve } = Promise.withResolvers<void>()
  const run = async (): Promise<void> => {
    log.push(`${name} in`)
    await promise
    log.push(`${name} out`)
  }
  return { run, go: resolve }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('readers share a mirror, a writer has it alone, and all go in as they came', async () => {
  const door = new Door()
  const log: string[] = []
  const [a, b, c, d] = ['a', 'b', 'writer', 'd'].map((name) => visit(log, name))
  assert.ok(a && b && c && d)
  const all = [door.read(never, a.run), door.read(never, b.run)]
  all.push(door.write(never, c.run), door.read(never, d.run))
  await settled()
  assert.deepEqual(log, ['a in', 'b in'])
  a.go()
  await settled()
  assert.deepEqual(log.slice(2), ['a out'], 'the writer waits for the other reader, too')
  b.go()
  await settled()
  assert.deepEqual(log.slice(3), ['b out', 'writer in'])
  c.go()
  d.go()
  await Promise.all(all)
  assert.deepEqual(log.slice(5), ['writer out', 'd in', 'd out'])
  await settled()
  assert.ok(door.isFree)
})

test('who is stopped while waiting leaves at once, and lets nobody in too early', async () => {
  const door = new Door()
  const log: string[] = []
  const first = visit(log, 'first')
  const stop = new AbortController()
  const inside = door.write(never, first.run)
  const stopped = door.write(stop.signal, visit(log, 'stopped').run)
  const next = visit(log, 'next')
  const behind = door.read(never, next.run)
  stop.abort(new Error('stopped'))
  await assert.rejects(stopped, /stopped/)
  await settled()
  assert.deepEqual(log, ['first in'])
  first.go()
  next.go()
  await Promise.all([inside, behind])
  assert.deepEqual(log, ['first in', 'first out', 'next in', 'next out'])
})

test('beyond the bound those give way that were not used for the longest, unfinished ones first', async () => {
  await using directory = await makeDirectory()
  const notes = new MirrorNotes(directory.path)
  for (const [name, usedAt] of [
    ['old', 1],
    ['new', 3],
    ['middle', 2],
  ] as const) {
    await mkdir(join(directory.path, name))
    await notes.write(name, { usedAt, bytes: 10, packages: '' })
  }
  await mkdir(join(directory.path, 'unfinished'))
  await mkdir(join(directory.path, 'cut-short'))
  await writeFile(join(directory.path, 'cut-short.json'), '{"usedAt":9')
  const beyond = await notes.beyond(25)
  assert.deepEqual(beyond.slice(0, 2).toSorted(), ['cut-short', 'unfinished'])
  assert.deepEqual(beyond.slice(2), ['old'])
  assert.deepEqual((await notes.beyond(5)).slice(2), ['old', 'middle', 'new'])
})
