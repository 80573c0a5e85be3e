import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { FakeRepository } from '@longhaul/testing'
import type { ServerApi } from './server-api.ts'
import { until } from './until.ts'

/** A task that was ordered, and where its session is on this host. */
export interface Ordered {
  readonly id: string
  readonly sessionId: string
  /** Of its session, as the host sees it. */
  readonly directory: string
  readonly repository: FakeRepository
  /** The path of a mark that a command leaves in the clone, in a place that no commit carries. */
  mark(name: string): string
  /** Resolves once the mark is there. */
  marked(name: string): Promise<void>
}

/** Generous: a busy machine is slow, and a condition that holds ends the wait at once. */
const markedMsMax = 90_000

/** Orders a task on a repository, from a server whose sessions are in `dataDir`. */
export async function orderOn(
  repository: FakeRepository,
  o: {
    readonly server: ServerApi
    readonly dataDir: string
    readonly order: Readonly<Record<string, unknown>>
  },
): Promise<Ordered> {
  const { id } = await o.server.order({ repoUrl: repository.url, ...o.order })
  const { session_id: sessionId } = await o.server.task(id)
  const directory = join(o.dataDir, 'sessions', sessionId)
  const mark = (name: string): string => join(directory, 'workspace/.git', name)
  return {
    ...{ id, sessionId, directory, repository, mark },
    marked: (name) => until(`${name} to be there`, () => existsSync(mark(name)), markedMsMax),
  }
}
