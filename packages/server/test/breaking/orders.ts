import type { Task } from '@longhaul/client/contract'
import type { FakeRepository } from '@longhaul/testing'
import type { Callers } from './callers.ts'
import type { Stage } from './stage.ts'
import { type Kind, kinds } from './tasks.ts'

/** A task whose order was acknowledged. */
export interface Ordered {
  readonly id: string
  readonly sessionId: string
  readonly kind: Kind
  readonly repository: FakeRepository
  /** The path of its callbacks. */
  readonly path: string
}

/** Orders the n-th task: the kinds in turn. */
export async function orderNth(
  n: number,
  { stage, callers, agent }: { readonly stage: Stage; readonly callers: Callers; agent: string },
): Promise<Ordered> {
  const kind = kinds[n % kinds.length]
  if (kind === undefined) throw new Error('there are no kinds')
  const repository = await stage.github.createRepository({
    ...{ owner: 'acme', name: `broken-${n}`, files: kind.files },
  })
  const path = `/done/${n}`
  const { id } = await callers.post<{ id: string }>(
    '/api/workflows',
    {
      ...{ type: 'refactor', priority: 'medium', repoUrl: repository.url },
      callbackUrl: `http://127.0.0.1:${stage.receiver.port}${path}`,
      ...(kind.asks && { agent }),
      ...kind.order,
    },
    `order-${n}`,
  )
  const { session_id: sessionId } = await callers.get<Task>(`/v1/tasks/${id}`)
  return { id, sessionId, kind, repository, path }
}

/** The agent that asks before it uses the shell. */
export async function makeAgent(callers: Callers): Promise<string> {
  const configs = [{ name: 'bash', permission_policy: { type: 'always_ask' } }]
  const tools = [{ type: 'agent_toolset_20260401', configs }]
  const body = { name: 'asking', model: 'claude-sonnet-5-5', tools }
  return (await callers.post<{ id: string }>('/v1/agents', body, 'the-agent')).id
}
