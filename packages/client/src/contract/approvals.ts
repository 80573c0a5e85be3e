import { z } from 'zod'
import {
  approvalId,
  budgetUsd,
  check,
  countParam,
  jsonProblem,
  pageMax,
  pageOf,
  sessionId,
  taskId,
  text,
  timestamp,
} from './common.ts'

/** What a human is asked. */
const approvalKind = z.enum(['tool_permission', 'question', 'budget'])
export type ApprovalKind = z.infer<typeof approvalKind>

/** `expired`: the deadline chose; `withdrawn`: its task ended, or goes on, without an answer. */
const approvalStatus = z.enum(['pending', 'answered', 'expired', 'withdrawn'])
export type ApprovalStatus = z.infer<typeof approvalStatus>

/** What happens when nobody has answered by the deadline. */
export const onDeadline = z
  .enum(['allow', 'deny', 'fail'])
  .describe(
    'allow: the call is made. deny: the agent is told that nobody answered, and goes on. fail: the task ends as approval_expired. Of a budget, allow: it is raised to what the order says; deny: the task ends as budget_declined.',
  )
export type OnDeadline = z.infer<typeof onDeadline>

/** Minutes until the deadline: at least one, at most 30 days; 24 hours where nothing is said. */
export const deadlineMinutes = z.int().min(1).max(43_200)
export const deadlineMinutesDefault = 1_440

const messageCharsMax = 4_000
const answerCharsMax = 4_000
const answersMax = 16
const inputBytesMax = 256 * 1024

const toolRequest = z.object({
  tool: z.string().describe('The name that the agent calls it by.'),
  tool_use_id: z.string(),
  input: z.record(z.string(), z.unknown()),
})

const questionRequest = z.object({
  tool_use_id: z.string(),
  questions: z.array(
    z.object({
      question: z.string(),
      header: z.string(),
      multi_select: z.boolean(),
      options: z.array(z.object({ label: z.string(), description: z.string() })),
    }),
  ),
})
export type QuestionRequest = z.infer<typeof questionRequest>

const budgetRequest = z.object({
  limit_usd: z.number(),
  spent_usd: z.number(),
  raise_to_usd: z
    .number()
    .optional()
    .describe('What it is raised to when nobody has answered by the deadline; absent: it is not.'),
})

const requestOf = z.union([toolRequest, questionRequest, budgetRequest])
export type ApprovalRequest = z.infer<typeof requestOf>

const decisionsOf: Readonly<Record<ApprovalKind, readonly string[]>> = {
  tool_permission: ['allow', 'allow_always', 'deny'],
  question: ['answer', 'deny'],
  budget: ['raise', 'deny'],
}

/** The body of `POST /v1/tasks/{id}/approvals/{approval_id}`; unknown fields are refused. */
export const approvalAnswer = z
  .discriminatedUnion('decision', [
    z.strictObject({
      decision: z.literal('allow'),
      input: z
        .record(z.string(), z.unknown())
        .superRefine(check((value) => jsonProblem(value, inputBytesMax)))
        .optional()
        .describe('The call is made with this input instead.'),
    }),
    z.strictObject({
      decision: z
        .literal('allow_always')
        .describe('This call, and every later one of the tool in this task.'),
    }),
    z.strictObject({
      decision: z.literal('deny').describe('Of a budget: the task ends as budget_declined.'),
      message: text(messageCharsMax).optional().describe('Why; the agent is told.'),
    }),
    z.strictObject({
      decision: z.literal('answer'),
      answers: z
        .record(z.string(), z.union([text(answerCharsMax), z.array(text(answerCharsMax)).min(1)]))
        .refine((given) => {
          const count = Object.keys(given).length
          return count > 0 && count <= answersMax
        }, `expected 1 to ${answersMax} answers`)
        .describe('By the text of the question: the label of an option, several, or other words.'),
    }),
    z.strictObject({
      decision: z.literal('raise'),
      limit_usd: budgetUsd.describe('What the whole task may cost from now on, in US dollars.'),
    }),
  ])
  .meta({ id: 'ApprovalAnswer' })
export type ApprovalAnswer = z.infer<typeof approvalAnswer>

/** Why an answer does not fit what was asked, as a field and `expected …`; null: it does. */
export function answerProblem(
  { kind, request }: { readonly kind: ApprovalKind; readonly request: ApprovalRequest },
  answer: ApprovalAnswer,
): { readonly field: string; readonly message: string } | null {
  const fit = decisionsOf[kind]
  if (!fit.includes(answer.decision)) {
    const message = `expected ${fit.join(', ')} (the approval is of kind ${kind}), got ${answer.decision}`
    return { field: 'decision', message }
  }
  if (
    answer.decision === 'raise' &&
    'spent_usd' in request &&
    answer.limit_usd <= request.spent_usd
  )
    return {
      field: 'limit_usd',
      message: `expected more than the ${request.spent_usd.toFixed(4)} that are spent`,
    }
  if (answer.decision !== 'answer' || !('questions' in request)) return null
  const asked = request.questions.map(({ question }) => question)
  const missing = asked.find((question) => !Object.hasOwn(answer.answers, question))
  if (missing !== undefined)
    return { field: 'answers', message: `expected an answer to ${JSON.stringify(missing)}` }
  const unasked = Object.keys(answer.answers).find((question) => !asked.includes(question))
  return unasked === undefined
    ? null
    : {
        field: 'answers',
        message: `expected answers to what was asked, not to ${JSON.stringify(unasked)}`,
      }
}

/** A question to a human, which outlives every process. */
export const approval = z
  .object({
    id: approvalId,
    task_id: taskId,
    session_id: sessionId,
    kind: approvalKind,
    status: approvalStatus,
    request: requestOf,
    answer: approvalAnswer.nullable(),
    on_deadline: onDeadline,
    deadline_at: timestamp,
    created_at: timestamp,
    answered_at: timestamp.nullable(),
    answered_by: z.string().nullable().describe('Id of the API key; null: the deadline.'),
  })
  .meta({ id: 'Approval' })
export type Approval = z.infer<typeof approval>

/** A page of approvals, newest first. */
export const approvalPage = pageOf('ApprovalPage', approval)

/** Which approvals to list. */
export const approvalQuery = z.strictObject({
  status: approvalStatus.optional(),
  limit: countParam(1, pageMax).optional(),
  page: approvalId.optional().describe('`next_page` of the page before.'),
})
