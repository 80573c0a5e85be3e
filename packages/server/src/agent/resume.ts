import { posix } from 'node:path'
import type { Sandbox } from '../sandbox/driver.ts'
import { type Fields, fieldsOf } from './fields.ts'
import type { Transcript } from './transcript.ts'

/** A transcript on disk that is larger is not read: the stored one replaces it. */
const transcriptBytesMax = 64 * 1024 * 1024
const commandMs = 60_000
/** Subagents' transcripts that are put back. */
const subagentsMax = 200

interface Place {
  readonly sandbox: Sandbox
  readonly sessionId: string
  readonly conversationId: string
  readonly transcript: Transcript
  readonly signal: AbortSignal
}

/**
 * Puts the conversation where the CLI in the sandbox will look for it, and tells whether there is
 * one to go on with. What the process of an earlier attempt left on this node's disk goes first:
 * it holds even what was not mirrored any more, and that is stored now. Anywhere else, or where
 * another node has carried on since, the stored conversation is written down. All of it goes
 * through the sandbox: its files are not the server's to open. Rejects when the store does, with
 * the signal's reason, or when the sandbox cannot write.
 */
export async function prepareConversation(place: Place): Promise<boolean> {
  if (place.transcript.isUntouched) return false
  const isStored = await place.transcript.exists()
  const found = await readConversation(place)
  const isUsable = found.some((entry) => entry['type'] === 'user')
  if (isUsable && place.transcript.isCoveredBy(found)) {
    await place.transcript.adopt(found)
    return true
  }
  if (isStored) {
    await writeConversation(place)
    return true
  }
  // A file without a message in it would make the CLI refuse the conversation's id as taken.
  if (found.length > 0) await run(place, ['rm', '-f', '--', fileOf(place, '')])
  return false
}

/** The CLI's own state is not needed, and a process that died may have left half a file. */
const readScript =
  'rm -f "$1/.claude.json"; if [ -s "$2" ]; then cat -- "$2"; else rm -f -- "$2"; fi'

async function readConversation(place: Place): Promise<Fields[]> {
  const { config } = place.sandbox.paths
  const { stdout, truncated } = await run(place, [
    ...['sh', '-c', readScript, 'sh'],
    ...[config, fileOf(place, '')],
  ])
  return truncated ? [] : stdout.split('\n').flatMap(parseLine)
}

function parseLine(line: string): Fields[] {
  try {
    return [fieldsOf(JSON.parse(line))]
  } catch {
    // The last line of a killed process may be half a line; the CLI skips it as well.
    return []
  }
}

const writeScript = 'mkdir -p -- "$(dirname -- "$1")" && cat > "$1.part" && mv -- "$1.part" "$1"'

async function writeConversation(place: Place): Promise<void> {
  let written = 0
  for await (const { subpath, entries } of place.transcript.stored()) {
    if (written > subagentsMax) return
    written += 1
    const metadata = entries.filter((entry) => entry['type'] === 'agent_metadata')
    const lines = entries.filter((entry) => entry['type'] !== 'agent_metadata')
    await write(
      place,
      fileOf(place, subpath),
      lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    )
    const last = metadata.at(-1)
    if (last === undefined) continue
    const { type: _, ...fields } = last
    const file = fileOf(place, subpath).replace(/\.jsonl$/, '.meta.json')
    await write(place, file, JSON.stringify(fields))
  }
}

async function write(place: Place, file: string, input: string): Promise<void> {
  const { exitCode, stderr } = await run(place, ['sh', '-c', writeScript, 'sh', file], input)
  if (exitCode !== 0) {
    throw new Error(`the conversation could not be written in the sandbox: ${stderr.trim()}`)
  }
}

function run(place: Place, command: readonly string[], input?: string) {
  return place.sandbox.exec(command, {
    ...(input === undefined ? {} : { input }),
    network: false,
    timeoutMs: commandMs,
    outputBytesMax: transcriptBytesMax,
    signal: place.signal,
  })
}

/** Where the CLI keeps a conversation ('') or one of its subagents. */
function fileOf({ sandbox, sessionId, conversationId }: Place, subpath: string): string {
  const folder = posix.join(sandbox.paths.config, 'projects', sessionId)
  if (subpath === '') return posix.join(folder, `${conversationId}.jsonl`)
  // Subpaths were named in the sandbox; above its own folder one would be none.
  const inside = posix.join('/', subpath)
  return posix.join(folder, conversationId, `${inside}.jsonl`)
}
