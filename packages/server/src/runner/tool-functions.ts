import type { CodeParser } from '../agent/tools/code/parser.ts'
import type { CodeFunctions } from '../agent/tools/code.ts'
import type { FileFunctions } from '../agent/tools/fs.ts'
import type { TaskFunctions } from '../agent/tools/task.ts'
import { ToolRefused } from '../agent/tools/tool.ts'
import { GitHubRefused } from '../gateway/github-call.ts'
import { countArtifacts, putArtifact } from '../store/artifacts.ts'
import { reportProgress } from '../tasks/report-progress.ts'
import * as files from '../workspace/files.ts'
import { GitFailed, type Workspace } from '../workspace/git.ts'
import { FileRefused } from '../workspace/path.ts'
import { searchFiles } from '../workspace/search.ts'
import type { Attempt } from './phase.ts'

/** Reports of progress: at most one in this time, and so many of one agent process. */
const progressGapMs = 2000
const progressMax = 500
/** What an agent may attach to its task. */
const attachedMax = 50
const attachedBytesMax = 32 * 1024 * 1024
const attachedTotalBytesMax = 256 * 1024 * 1024
/** No name of the server's own artifacts begins so: an agent replaces none of them. */
const attachedPrefix = 'attached-'

/** What the tools about the task do in this attempt. */
export function taskFunctions(attempt: Attempt): TaskFunctions {
  const { deps, writer, task, lease } = attempt
  let lastMs = Number.NEGATIVE_INFINITY
  let attached: Promise<unknown> = Promise.resolve()
  let count = 0
  return {
    async reportProgress(progress) {
      const now = deps.clock.now()
      if (now - lastMs < progressGapMs || count >= progressMax) return false
      lastMs = now
      count += 1
      // What the agent said before belongs before it in the log.
      await writer.flush()
      await deps.store.db.transaction().execute((trx) =>
        reportProgress(trx, {
          ...{ taskId: task.id, attempt: lease.attempt, progress, clock: deps.clock },
        }),
      )
      return true
    },
    attachArtifact(file, signal) {
      // One after the other: what may still be attached is what the one before has left.
      const next = attached.then(() => attach(attempt, { file, signal }))
      attached = next.catch(() => undefined)
      return next
    },
  }
}

async function attach(
  attempt: Attempt,
  o: {
    readonly file: Parameters<TaskFunctions['attachArtifact']>[0]
    readonly signal: AbortSignal
  },
): ReturnType<TaskFunctions['attachArtifact']> {
  const { deps, writer, lease, task } = attempt
  const { path, name, contentType } = o.file
  o.signal.throwIfAborted()
  const limits = { bytesMax: attachedBytesMax }
  const data = await told(files.readFile(callOf(attempt, o.signal), path, limits))
  const artifact = `${attachedPrefix}${name}`
  const bytes = data.length
  await checkRoom(attempt, { name: artifact, bytes })
  await putArtifact(deps.store.db, {
    ...{ sessionId: lease.sessionId, attempt: lease.attempt, name: artifact, contentType, data },
    createdBy: task.created_by,
    now: new Date(deps.clock.now()),
  })
  await writer.write({ type: 'task.artifact_attached', artifact, path, bytes })
  return { artifact, bytes }
}

/** What the tools for files do in this attempt's workspace. */
export function fileFunctions(attempt: Pick<Attempt, 'workspace'>): FileFunctions {
  const at = (signal: AbortSignal): Workspace => callOf(attempt, signal)
  return {
    read: (path, signal) => told(files.readFile(at(signal), path)),
    write: async ({ path, data, isNew }, signal) =>
      (await told(files.writeFile(at(signal), path, data, { isNew }))).replaced,
    list: (path, depth, signal) => told(files.listFiles(at(signal), path, { depth })),
    delete: (path, recursive, signal) => told(files.deleteFile(at(signal), path, { recursive })),
    move: (way, signal) => told(files.moveFile(at(signal), way)),
    copy: (way, signal) => told(files.copyFile(at(signal), way)),
  }
}

/** What the tools for code do there. */
export function codeFunctions(
  attempt: Pick<Attempt, 'workspace'>,
  parser: CodeParser,
): CodeFunctions {
  return {
    files: fileFunctions(attempt),
    search: (search, signal) => told(searchFiles(callOf(attempt, signal), search)),
    parser,
  }
}

/** The workspace, for as long as the call is waited for. */
export function callOf({ workspace }: Pick<Attempt, 'workspace'>, signal: AbortSignal): Workspace {
  return { ...workspace, signal: AbortSignal.any([workspace.signal, signal]) }
}

/** What the workspace and the hosts refuse with a sentence, the agent is told. */
export async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    const isRefusal =
      error instanceof FileRefused || error instanceof GitFailed || error instanceof GitHubRefused
    throw isRefusal ? new ToolRefused(error.message, { cause: error }) : error
  }
}

async function checkRoom(
  { deps, lease }: Attempt,
  { name, bytes }: { readonly name: string; readonly bytes: number },
): Promise<void> {
  const others = await countArtifacts(deps.store.db, {
    ...{ sessionId: lease.sessionId, prefix: attachedPrefix, except: name },
  })
  if (others.count >= attachedMax)
    throw new ToolRefused(`A task has at most ${attachedMax} attached files.`)
  if (others.bytes + bytes > attachedTotalBytesMax)
    throw new ToolRefused(
      `The attached files of a task have at most ${attachedTotalBytesMax} bytes.`,
    )
}
