import { Readable } from 'node:stream'
import type { DockerFunctions } from '../agent/tools/docker.ts'
import { ToolRefused } from '../agent/tools/tool.ts'
import { Docker } from '../gateway/docker.ts'
import { ContextRefused } from '../gateway/docker-context.ts'
import { packContext } from '../workspace/context.ts'
import { readFile } from '../workspace/files.ts'
import type { Workspace } from '../workspace/git.ts'
import { FileRefused } from '../workspace/path.ts'
import type { RunnerDeps } from './deps.ts'
import type { Attempt } from './phase.ts'

/** Bytes of a Dockerfile. */
const dockerfileBytesMax = 64 * 1024

/** A session's images and containers; null: the operator names no engine. */
export function dockerOf(
  { config, clock, log }: Pick<RunnerDeps, 'config' | 'clock' | 'log'>,
  sessionId: string,
): Docker | null {
  return config.docker === null ? null : new Docker({ ...config.docker, sessionId, clock, log })
}

/** What the Docker tools do in this attempt's workspace; null: there are none. */
export function dockerFunctions(attempt: Attempt): DockerFunctions | null {
  const docker = dockerOf(attempt.deps, attempt.lease.sessionId)
  if (docker === null) return null
  return {
    build: async ({ context, dockerfile: path, ...o }) => {
      const signal = AbortSignal.any([attempt.workspace.signal, o.signal])
      const workspace = { ...attempt.workspace, signal }
      const dockerfile = await readDockerfile(workspace, path)
      return docker.build({
        ...o,
        dockerfile,
        tar: () => Readable.from(filesOf(workspace, context)),
      })
    },
    run: (o) => docker.run(o),
    remove: (o) => docker.remove(o),
  }
}

async function readDockerfile(workspace: Workspace, path: string): Promise<string> {
  try {
    const bytes = await readFile(workspace, path, { bytesMax: dockerfileBytesMax })
    return bytes.toString('utf8')
  } catch (error) {
    if (error instanceof FileRefused) throw new ToolRefused(error.message, { cause: error })
    throw error
  }
}

async function* filesOf(workspace: Workspace, directory: string): AsyncGenerator<Buffer> {
  try {
    yield* packContext(workspace, directory)
  } catch (error) {
    if (error instanceof FileRefused) throw new ContextRefused(error.message, { cause: error })
    throw error
  }
}
