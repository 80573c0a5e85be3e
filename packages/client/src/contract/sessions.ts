import { z } from 'zod'
import {
  agentId,
  countParam,
  listParam,
  pageMax,
  pageOf,
  sessionId,
  taskId,
  timestamp,
  usd,
} from './common.ts'
import { usage } from './results.ts'
import { type Range, rangeOf, rangeParams, rfc3339 } from './task-filter.ts'

/** Whether a session's agent works, waits to go on, waits for a message, or never will again. */
const sessionStatus = z.enum(['idle', 'running', 'rescheduling', 'terminated'])
export type SessionStatus = z.infer<typeof sessionStatus>

/** One conversation of an agent, with a workspace and a log, as `/v1` shows it. */
export const session = z
  .object({
    type: z.literal('session'),
    id: sessionId,
    status: sessionStatus,
    task_id: taskId.nullable().describe('The task that it works on.'),
    agent: z.looseObject({}).describe('The agent, as it was when the session was made.'),
    environment: z
      .looseObject({})
      .describe(
        'The environment, as it was when the session was made, with what the order changed.',
      ),
    attempt: z.int().nonnegative().describe('How often it was taken up by a worker.'),
    last_seq: z.int().nonnegative().describe('The number of its newest event.'),
    usage,
    cost_usd: usd,
    created_by: z.string().nullable(),
    created_at: timestamp,
    updated_at: timestamp,
    archived_at: timestamp.nullable(),
  })
  .meta({ id: 'Session' })
export type Session = z.infer<typeof session>

/** A page of sessions. */
export const sessionPage = pageOf('SessionPage', session)

/** Which sessions are wanted. */
export interface SessionFilter {
  readonly statuses: readonly SessionStatus[] | undefined
  readonly agentId: string | undefined
  readonly created: Range<Date>
  readonly archived: boolean
}

/** A page of sessions that was asked for. */
interface SessionQuery {
  readonly filter: SessionFilter
  readonly order: 'asc' | 'desc'
  readonly limit: number | undefined
  /** The last session of the page before. */
  readonly after: { readonly createdAt: Date; readonly id: string } | undefined
}

const statuses = listParam(sessionStatus, sessionStatus.options.length)

/** The query of `GET /v1/sessions`. */
export const sessionQuery = z
  .strictObject({
    limit: countParam(1, pageMax).optional(),
    page: z
      .string()
      .regex(/^\d{1,15}-sesn_[0-9a-hjkmnp-tv-z]{26}$/, 'expected what the page before named')
      .transform(readCursor)
      .optional()
      .describe('Opaque: the next page as the page before named it.'),
    order: z.enum(['asc', 'desc']).optional().describe('By creation; `desc` if absent.'),
    'statuses[]': statuses.describe('Only sessions with one of these.'),
    statuses: statuses.describe('As `statuses[]`.'),
    agent_id: agentId.optional().describe('Only sessions of this agent.'),
    include_archived: z.enum(['true', 'false']).optional().describe('`false` if absent.'),
    ...rangeParams('created_at', rfc3339()),
    beta: z.string().optional().describe('Sent by older official clients; ignored.'),
  })
  .transform((query): SessionQuery => {
    const wanted = [...(query.statuses ?? []), ...(query['statuses[]'] ?? [])]
    return {
      filter: {
        statuses: wanted.length > 0 ? wanted : undefined,
        agentId: query.agent_id,
        created: rangeOf(query, 'created_at'),
        archived: query.include_archived === 'true',
      },
      order: query.order ?? 'desc',
      limit: query.limit,
      after: query.page,
    }
  })

/** What is left of a session that was deleted. */
export const sessionDeleted = z
  .object({ id: sessionId, type: z.literal('session_deleted') })
  .meta({ id: 'SessionDeleted' })

/** The cursor of the page that begins after a session. It needs no session to be there still. */
export function sessionCursor(last: { readonly createdAt: Date; readonly id: string }): string {
  return `${last.createdAt.getTime()}-${last.id}`
}

function readCursor(page: string): { createdAt: Date; id: string } {
  const at = page.indexOf('-')
  return { createdAt: new Date(Number(page.slice(0, at))), id: page.slice(at + 1) }
}
