import { z } from 'zod'
import { budgetUsd, concurrencyLimit, keyId, pageOf, timestamp, usd } from './common.ts'

const nameCharsMax = 64
const scopesMax = 20

/**
 * What a key may do: read, or order and cancel, or say how a repository's tasks are done and by which
 * agents, or what sandboxes may reach and take, or read the audit, or make and revoke keys, or drain
 * workers, or everything
 * that is there now and later.
 */
export const keyScopes = [
  'tasks:read',
  'tasks:write',
  'repositories:write',
  'agents:write',
  'environments:write',
  'audit:read',
  'keys:write',
  'workers:write',
  '*',
] as const
const scope = z.enum(keyScopes)
export type Scope = z.infer<typeof scope>

/** The name of a key, which logs and events carry. */
export const keyName = z
  .string()
  .max(nameCharsMax)
  .regex(/^[\w.@ -]+$/, `expected 1 to ${nameCharsMax} letters, digits, spaces or .@_-`)

const dayBudget = budgetUsd
  .nullable()
  .describe('What its tasks may spend on models in a day of UTC; null: the server’s setting.')

const concurrency = concurrencyLimit.describe(
  'Tasks of its that run at once, on all nodes together; null: the server’s setting.',
)

/** `POST /v1/keys`. */
export const keyCreate = z
  .strictObject({
    name: keyName,
    scopes: z
      .array(scope)
      .min(1)
      .max(scopesMax)
      .describe('What it may do: nothing that the key that makes it may not.'),
    day_budget_usd: dayBudget.optional(),
    concurrency: concurrency.optional(),
  })
  .meta({ id: 'KeyCreate' })

/** `POST /v1/keys/{id}`: an absent field stays. */
export const keyUpdate = z
  .strictObject({
    name: keyName.optional(),
    day_budget_usd: dayBudget.optional(),
    concurrency: concurrency.optional(),
  })
  .meta({ id: 'KeyUpdate' })
export type KeyUpdate = z.infer<typeof keyUpdate>

const shown = {
  type: z.literal('key'),
  id: keyId,
  name: z.string(),
  scopes: z.array(z.string()),
  day_budget_usd: dayBudget,
  concurrency,
  spent_today_usd: usd.describe('In the day of UTC that it is.'),
  created_by: z.string().nullable(),
  created_at: timestamp,
  last_used_at: timestamp.nullable().describe('To the minute.'),
  revoked_at: timestamp.nullable(),
}

/** An API key, without the key itself. */
export const apiKey = z.object(shown).meta({ id: 'Key' })
export type ApiKey = z.infer<typeof apiKey>

/** The one answer that has the key itself. */
export const keyMade = z
  .object({ ...shown, key: z.string().describe('Shown this once.') })
  .meta({ id: 'KeyMade' })

/** A page of keys, newest first. */
export const keyPage = pageOf('KeyPage', apiKey)
