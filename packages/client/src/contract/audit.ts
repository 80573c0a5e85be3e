import { z } from 'zod'
import { countParam, pageMax, pageOf, sessionId, timestamp } from './common.ts'

const sha256 = z.string().describe('SHA-256 in hex.')

/** Something that was decided for a session, or for the server itself. */
const auditEntry = z
  .object({
    type: z.literal('audit_entry'),
    id: z.string().meta({ example: 'audit_01kaw3n6hxe4m9q2v7r5t8yabc' }),
    at: timestamp,
    session_id: z.string().nullable().describe('Perhaps deleted meanwhile; null: no session’s.'),
    kind: z.string().describe('What decided: gateway.'),
    entry: z
      .record(z.string(), z.unknown())
      .describe(
        'Of the gateway: route, host, port, verdict, why, count, bytes_in, bytes_out, and what the route adds. One with a count above 1 stands for that many equal ones, whose numbers are added up.',
      ),
    writer: z.string().describe('One start of the server on one node.'),
    seq: z.int().positive().describe('Of the writer, without a gap.'),
    prev_hash: sha256.describe('Of the writer’s entry before; 64 zeros of the first.'),
    hash: sha256,
  })
  .meta({ id: 'AuditEntry' })
export type AuditEntry = z.infer<typeof auditEntry>

/** A page of entries, in the order in which they were stored. */
export const auditPage = pageOf('AuditPage', auditEntry)

/** What the list of entries is asked for. */
export const auditQuery = z.strictObject({
  session_id: sessionId.optional(),
  verdict: z.enum(['allowed', 'denied']).optional(),
  page: countParam(0, 999_999_999_999_999).optional().describe('Opaque: from the page before.'),
  limit: countParam(1, pageMax).optional(),
})
