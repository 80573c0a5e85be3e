import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'

/** A build as the engine got it. */
export interface DockerBuild {
  /** The Dockerfile's text. */
  readonly text: string
  /** Contents of the regular files by path; of anything else, what it is: `symbolic link`, `other`. */
  readonly files: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
}

const tarMs = 30_000

/** Unpacks the tar of a build with the system's tar, reads what is in it, and removes it again. */
export async function readContext(
  request: IncomingMessage,
  o: { readonly dockerfile: string; readonly labels: Readonly<Record<string, string>> },
): Promise<DockerBuild> {
  const directory = await mkdtemp(join(tmpdir(), 'longhaul-docker-'))
  try {
    const archive = join(directory, 'context.tar')
    await pipeline(request, createWriteStream(archive))
    const root = join(directory, 'context')
    await mkdir(root)
    await promisify(execFile)('tar', ['-xf', archive, '-C', root], { timeout: tarMs })
    const { [o.dockerfile]: text = '', ...files } = await filesBelow(root)
    return { text, files, labels: o.labels }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function filesBelow(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const found: Record<string, string> = {}
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    const status = await lstat(path)
    if (status.isDirectory()) continue
    const name = relative(root, path)
    if (status.isFile()) found[name] = await readFile(path, 'utf8')
    else found[name] = status.isSymbolicLink() ? 'symbolic link' : 'other'
  }
  return found
}
