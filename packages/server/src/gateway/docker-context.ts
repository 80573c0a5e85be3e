import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Entry, extract, type Pack, pack } from 'tar-stream'

const contextBytesMax = 256 * 1024 * 1024
const entriesMax = 20_000
const nameBytesMax = 1024

/** The files to build from cannot be used; the message is a sentence for the agent. */
export class ContextRefused extends Error {}

/**
 * Writes a hostile tar anew, entry by entry: regular files and directories with plain names, nobody's,
 * within bounds; whatever else is in it ends it. The Dockerfile stands first, under a name that nobody
 * inside knows. `done` rejects with ContextRefused or the stream's own error.
 */
export function writeContext(o: {
  readonly tar: Readable
  readonly dockerfile: { readonly name: string; readonly text: string }
  readonly signal: AbortSignal
}): { readonly context: Pack; readonly done: Promise<void> } {
  const context = pack()
  const reader = extract()
  // They report an error once more after `pipeline` has stopped to listen; it is known by then.
  for (const stream of [o.tar, reader, context]) stream.on('error', () => undefined)
  const copying = async (): Promise<void> => {
    context.entry({ name: o.dockerfile.name, mode: 0o600 }, o.dockerfile.text)
    const fed = pipeline(o.tar, reader, { signal: o.signal })
    fed.catch(() => undefined) // The loop below ends with the same error.
    await copyEntries(reader, context)
    await fed
    context.finalize()
  }
  const done = copying().catch((error: unknown) => {
    const reason = error instanceof Error ? error : new Error('the files could not be read')
    context.destroy(reason)
    reader.destroy(reason)
    throw reason
  })
  done.catch(() => undefined) // Whoever sends the context hears of it.
  return { context, done }
}

async function copyEntries(entries: AsyncIterable<Entry>, context: Pack): Promise<void> {
  let [bytes, count] = [0, 0]
  for await (const entry of entries) {
    const { type, size = 0, mode = 0o644 } = entry.header
    const name = nameOf(entry.header.name)
    bytes += size
    count += 1
    if (name === null || (type !== 'file' && type !== 'directory'))
      throw new ContextRefused('Only regular files and directories can be built from.')
    if (bytes > contextBytesMax)
      throw new ContextRefused(`There is more than ${contextBytesMax} bytes to build from.`)
    if (count > entriesMax)
      throw new ContextRefused(`There are more than ${entriesMax} files to build from.`)
    const header = { name, type, size, mode: mode & 0o777, mtime: new Date(0) }
    if (type === 'file') await pipeline(entry, context.entry(header))
    else {
      context.entry(header)
      entry.resume()
    }
  }
}

/** Relative, without `..`; null: not such a name. */
function nameOf(given: string): string | null {
  const parts = given.split('/').filter((part) => part !== '' && part !== '.')
  const isPlain = !given.startsWith('/') && !parts.includes('..') && !given.includes('\0')
  return isPlain && Buffer.byteLength(given) <= nameBytesMax ? parts.join('/') || '.' : null
}
