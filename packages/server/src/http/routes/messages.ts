import { createRoute } from '@hono/zod-openapi'
import { type Message, message, messageCreate, taskId } from '@longhaul/client/contract'
import { z } from 'zod'
import type { MessageRow } from '../../store/tables.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { idempotencyHeaders, once } from '../idempotency.ts'
import { json, refusalsOf } from '../responses.ts'

const send = createRoute({
  method: 'post',
  path: '/v1/tasks/{id}/messages',
  operationId: 'sendMessage',
  summary: 'Say something to a task’s agent',
  description:
    'A task that runs or waits reads it as `mode` says, and before it ends. A task that has ended goes on with it: same session, conversation, branch and pull request. The `user.message` event is in the log at once, with `processed_at` null, and again, with the same id, when the agent’s conversation has it.',
  tags: ['tasks'],
  request: {
    params: z.object({ id: taskId }),
    headers: idempotencyHeaders,
    body: { required: true, content: json(messageCreate) },
  },
  responses: {
    201: { description: 'The message, accepted.', content: json(message) },
    ...refusalsOf(404, 409, 413, 415, 429),
  },
})

/** Messages to tasks. */
export function messageRoutes(app: App, deps: AppDeps): void {
  app.openapi(send, async (c) => {
    const { id } = c.req.valid('param')
    const said = c.req.valid('json')
    const body = await once(deps, c, async (trx) => {
      const sent = await deps.tasks.say(trx, { taskId: id, said, caller: c.get('caller') })
      if (sent === undefined) throw refusals.notFound(`task ${id}`)
      if (sent.kind === 'refused') {
        const { code, why } = sent
        throw code === 'too_many_messages' ? refusals.busy(code, why) : refusals.conflict(code, why)
      }
      return { body: presentMessage(sent.message, { taskId: id, ...sent }), taskId: id }
    })
    return c.json(body, 201)
  })
}

function presentMessage(
  row: MessageRow,
  { taskId, reopened }: { readonly taskId: string; readonly reopened: boolean },
): Message {
  return {
    id: row.id,
    task_id: taskId,
    session_id: row.session_id,
    seq: row.seq,
    mode: row.mode,
    text: row.text,
    reopened,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    processed_at: row.processed_at?.toISOString() ?? null,
  }
}
