import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { FileRequest } from './files-request.ts'
import type { Workspace } from './git.ts'
import { FileRefused, namesOf } from './path.ts'

/** Bytes of a file that are read or written at once: more than any text that is read as a whole. */
const fileBytesMax = 8 * 1024 * 1024
/** Entries that a directory's listing names. */
const listedMax = 1000
/** What one copy may take: a package's sources, not a disk. */
const copyMax = { entriesMax: 20_000, bytesMax: 1024 ** 3 }
/** The script gives up and cleans up by itself, before it is killed. */
const requestMsMax = 45_000
const killMsMax = 10_000
/** base64 makes four bytes of three; the rest is JSON, names of a listing above all. */
const answerBytes = (dataBytes: number) => Math.ceil(dataBytes * 1.4) + 8 * 1024 * 1024

/**
 * What `files-script.ts` calls something until it is whole, as a pattern of git's: no commit carries
 * what a call that was killed on the way has left.
 */
export const unfinishedPattern = '.longhaul-????????-????-????-????-????????????'

/** An entry of a directory. */
export interface Entry {
  /** Relative to the directory that was listed. */
  readonly path: string
  /** `a file`, `a directory`, `a symbolic link`, … */
  readonly kind: string
  readonly bytes: number
}

/*
 * Files of a workspace, for who must not follow its links: paths are judged here, and again by the
 * kernel, inside the sandbox, by `files-script.ts`. All throw `FileRefused` with a sentence for who
 * gave the path. Links are moved, copied and deleted as themselves, never followed.
 */

/** The bytes of a regular file, of at most `bytesMax` (default `fileBytesMax`). */
export async function readFile(
  workspace: Workspace,
  path: string,
  { bytesMax = fileBytesMax }: { readonly bytesMax?: number } = {},
): Promise<Buffer> {
  const request = { op: 'read', path: names(workspace, path), bytesMax } as const
  const answer = z.object({ data: z.base64() })
  return Buffer.from((await ask(workspace, request, answer, bytesMax)).data, 'base64')
}

/** Writes a file as a whole, with the directories that it needs; what reads it sees old or new. */
export async function writeFile(
  workspace: Workspace,
  path: string,
  data: Buffer,
  { isNew = false }: { readonly isNew?: boolean } = {},
): Promise<{ readonly replaced: boolean }> {
  if (data.length > fileBytesMax)
    throw new FileRefused(`A file of at most ${fileBytesMax} bytes is written, not ${data.length}.`)
  const request = { op: 'write', path: names(workspace, path), isNew } as const
  const answer = z.object({ replaced: z.boolean() })
  return ask(workspace, { ...request, data: data.toString('base64') }, answer)
}

/** What is in a directory, down to `depth` levels; `more`: it is more than is listed. */
export async function listFiles(
  workspace: Workspace,
  path: string,
  { depth }: { readonly depth: number },
): Promise<{ readonly entries: readonly Entry[]; readonly more: boolean }> {
  const request = {
    op: 'list',
    path: names(workspace, path),
    depth,
    entriesMax: listedMax,
  } as const
  const entry = z.object({ path: z.string(), kind: z.string(), bytes: z.number() })
  return ask(workspace, request, z.object({ entries: z.array(entry), more: z.boolean() }))
}

/** Deletes a file, a link, or a directory: an empty one, unless `recursive`. Answers what it was. */
export async function deleteFile(
  workspace: Workspace,
  path: string,
  { recursive }: { readonly recursive: boolean },
): Promise<string> {
  const request = { op: 'delete', path: names(workspace, path), recursive } as const
  return (await ask(workspace, request, z.object({ kind: z.string() }))).kind
}

interface Way {
  readonly from: string
  readonly to: string
  /** Whether a file that is at `to` already is replaced. */
  readonly replace: boolean
}

/** Moves a file, a link or a directory to another name. Answers what it was. */
export async function moveFile(workspace: Workspace, way: Way): Promise<string> {
  const request = { op: 'move', ...wayOf(workspace, way) } as const
  return (await ask(workspace, request, z.object({ kind: z.string() }))).kind
}

/** Copies a file, a link, or a directory with what is in it. Answers what it was. */
export async function copyFile(workspace: Workspace, way: Way): Promise<string> {
  const ends = wayOf(workspace, way)
  if (ends.from.every((name, n) => name === ends.to[n]))
    throw new FileRefused(`${JSON.stringify(way.from)} cannot be copied into itself.`)
  const request = { op: 'copy', ...ends, ...copyMax } as const
  return (await ask(workspace, request, z.object({ kind: z.string() }))).kind
}

function names({ sandbox }: Workspace, path: string): string[] {
  return namesOf(path, sandbox.paths.workspace)
}

function wayOf(workspace: Workspace, { from, to, replace }: Way) {
  return { from: names(workspace, from), to: names(workspace, to), replace }
}

/** Distributes over the union, which `Omit` alone does not. */
type Question = FileRequest extends infer R
  ? R extends FileRequest
    ? Omit<R, 'root' | 'msMax'>
    : never
  : never

async function ask<T>(
  { sandbox, signal }: Workspace,
  question: Question,
  answered: z.ZodType<T>,
  dataBytes = 0,
): Promise<T> {
  const root = sandbox.paths.workspace
  const request = { ...question, root, msMax: requestMsMax }
  const result = await sandbox.exec([sandbox.nodePath, ...programArguments], {
    cwd: '/',
    input: JSON.stringify(request),
    network: false,
    timeoutMs: requestMsMax + killMsMax,
    outputBytesMax: answerBytes(dataBytes),
    signal,
  })
  if (result.timedOut) throw new FileRefused('It took too long.')
  const answer = z
    .union([z.object({ answered }), z.object({ refused: z.string().max(10_000) })])
    .safeParse(parsed(result.stdout))
  if (!answer.success)
    throw new Error(`the file script ended with ${result.exitCode}: ${result.stderr.slice(-1000)}`)
  if ('refused' in answer.data) throw new FileRefused(answer.data.refused)
  return answer.data.answered
}

/** The program itself, not its path: inside there is no file of the server's. */
const programArguments = [
  '--input-type=module-typescript',
  '--eval',
  readFileSync(join(import.meta.dirname, 'files-script.ts'), 'utf8'),
]

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // Not an answer; what it is instead is reported.
  }
}
