import { createRoute } from '@hono/zod-openapi'
import {
  editedOrder,
  type GivenOrder,
  type OrderPolicy,
  type TaskOrder,
  task,
  taskCreateOrder,
  taskId,
  taskRetry,
} from '@longhaul/client/contract'
import { z } from 'zod'
import type { Scrubber } from '../../scrub/scrubber.ts'
import { getTask } from '../../store/tasks.ts'
import { hasEnded } from '../../tasks/machine.ts'
import { whyQueued } from '../../tasks/why-queued.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { presentTask } from '../present.ts'
import { json, refusalsOf } from '../responses.ts'
import { problemsOf } from '../validate.ts'

const retry = createRoute({
  method: 'post',
  path: '/v1/tasks/{id}/retry',
  operationId: 'retryTask',
  summary: 'Order an ended task again, the same or edited',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId }),
    headers: idempotencyHeaders,
    body: { required: false, content: json(taskRetry) },
  },
  responses: {
    201: {
      description: 'The new task, pending; `retry_of` names the one it repeats.',
      content: json(task),
    },
    ...refusalsOf(404, 409, 413, 415),
  },
})

/** Orders again what has ended: a new task with a session, a branch and a budget of its own. */
export function taskRetryRoute(app: App, deps: AppDeps): void {
  const { tasks, scrubber, clock } = deps
  app.openapi(retry, async (c) => {
    const { id } = c.req.valid('param')
    // Not what the schema made of it, which drops fields of a hostile name.
    const edits: Readonly<Record<string, unknown>> = await c.req.json()
    const body = await once(deps, c, async (trx) => {
      const ended = await getTask(trx, id)
      if (!ended) throw refusals.notFound(`task ${id}`)
      if (!hasEnded(ended)) throw refusals.taskNotEnded(ended)
      const order = reorder({ policy: tasks.policy, scrubber }, ended.order, edits)
      const row = await tasks.create(trx, order, c.get('caller'), { retryOf: id })
      const why = await whyQueued(trx, { rows: [row], clock })
      return { body: presentTask(row, why), location: `/v1/tasks/${row.id}`, taskId: row.id }
    })
    return c.json(body, 201)
  })
}

/** The whole order is judged anew: an edit may contradict what it leaves, and rules may change. */
function reorder(
  { policy, scrubber }: { readonly policy: OrderPolicy; readonly scrubber: Scrubber | undefined },
  order: TaskOrder,
  edits: Readonly<Record<string, unknown>>,
): GivenOrder {
  const whole = editedOrder(order, edits)
  const result = taskCreateOrder(policy).safeParse(whole)
  if (!result.success) throw refusals.invalid(problemsOf(result.error, whole, scrubber))
  return result.data
}
