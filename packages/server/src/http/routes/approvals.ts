import { createRoute } from '@hono/zod-openapi'
import {
  type Approval,
  approval,
  approvalAnswer,
  approvalId,
  approvalPage,
  approvalQuery,
  pageDefault,
  taskId,
} from '@longhaul/client/contract'
import { z } from 'zod'
import { getApproval, listApprovals } from '../../store/approvals.ts'
import { getTask } from '../../store/tasks.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { refusals } from '../errors.ts'
import { presentApproval } from '../present-approval.ts'
import { json, refusalsOf } from '../responses.ts'

const page = { description: 'A page.', content: json(approvalPage) }
const one = z.object({ id: taskId, approval_id: approvalId })

const listAll = createRoute({
  method: 'get',
  path: '/v1/approvals',
  operationId: 'listApprovals',
  summary: 'List what humans were asked, newest first',
  tags: ['approvals'],
  request: { query: approvalQuery },
  responses: { 200: page, ...refusalsOf() },
})

const list = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/approvals',
  operationId: 'listTaskApprovals',
  summary: 'List what humans were asked by one task, newest first',
  tags: ['approvals'],
  request: { params: z.object({ id: taskId }), query: approvalQuery },
  responses: { 200: page, ...refusalsOf(404) },
})

const get = createRoute({
  method: 'get',
  path: '/v1/tasks/{id}/approvals/{approval_id}',
  operationId: 'getApproval',
  summary: 'Read what a human was asked, and the answer',
  tags: ['approvals'],
  request: { params: one, query: z.strictObject({}) },
  responses: { 200: { description: 'It.', content: json(approval) }, ...refusalsOf(404) },
})

const answer = createRoute({
  method: 'post',
  path: '/v1/tasks/{id}/approvals/{approval_id}',
  operationId: 'answerApproval',
  summary: 'Answer what a task waits for',
  description:
    'The first answer wins; the same answer again is answered the same. A later, different one is refused with 409 `already_decided`, whose details have the approval as it was decided. The task goes on as soon as a slot is free, on whichever node.',
  tags: ['approvals'],
  request: { params: one, body: { required: true, content: json(approvalAnswer) } },
  responses: {
    200: { description: 'The approval, answered.', content: json(approval) },
    ...refusalsOf(404, 409, 413, 415),
  },
})

/** Questions to humans. */
export function approvalRoutes(app: App, { store, tasks }: AppDeps): void {
  async function pageOf(query: z.output<typeof approvalQuery>, task?: string) {
    const { status, limit = pageDefault, page: before } = query
    const rows = await listApprovals(store.db, { taskId: task, status, before, limit: limit + 1 })
    const data = rows.slice(0, limit).map(presentApproval)
    return { data, next_page: rows.length > limit ? (data.at(-1)?.id ?? null) : null }
  }

  app.openapi(listAll, async (c) => c.json(await pageOf(c.req.valid('query')), 200))

  app.openapi(list, async (c) => {
    const { id } = c.req.valid('param')
    if (!(await getTask(store.db, id))) throw refusals.notFound(`task ${id}`)
    return c.json(await pageOf(c.req.valid('query'), id), 200)
  })

  app.openapi(get, async (c) => {
    const { id, approval_id: approvalOf } = c.req.valid('param')
    const row = await getApproval(store.db, approvalOf)
    if (row?.task_id !== id) throw refusals.notFound(`approval ${approvalOf} of task ${id}`)
    return c.json(presentApproval(row), 200)
  })

  app.openapi(answer, async (c) => {
    const { id, approval_id: approvalOf } = c.req.valid('param')
    const given = c.req.valid('json')
    const caller = c.get('caller')
    const answered = await store.db
      .transaction()
      .execute((trx) => tasks.answer(trx, { taskId: id, id: approvalOf, answer: given, caller }))
    if (answered === undefined) throw refusals.notFound(`approval ${approvalOf} of task ${id}`)
    if (answered.kind === 'unfit') throw refusals.invalid([answered])
    const shown = presentApproval(answered.approval)
    if (answered.kind === 'too_late') throw refusals.decided(shown, sentenceOf(shown))
    return c.json(shown, 200)
  })
}

function sentenceOf({ status, answer, answered_at: at }: Approval): string {
  const what = {
    pending: 'It waits.',
    answered: `It was answered before, with ${answer?.decision}, at ${at}.`,
    expired: `Its deadline decided, at ${at}.`,
    withdrawn: `Its task no longer waits for it, since ${at}.`,
  }[status]
  return `${what} The first decision counts.`
}
