import { z } from 'zod'
import { timestamp } from './common.ts'

/** What may be wrong with a server; the list is closed, and docs/alerts.md has a row for each. */
const serverAlertName = z.enum([
  'queue_waiting',
  'disk_floor',
  'memory_floor',
  'audit_behind',
  'model_limited',
  'endpoint_failing',
  'clock_jumped',
])
export type ServerAlertName = z.infer<typeof serverAlertName>

/** Something that is wrong with the server now: what, since when, and what to do. */
export const serverAlert = z
  .object({
    name: serverAlertName,
    since: timestamp,
    message: z.string().describe('What is wrong, and what follows from it.'),
    fix: z.string().describe('What to do.'),
  })
  .meta({ id: 'ServerAlert' })
export type ServerAlert = z.infer<typeof serverAlert>
