import { z } from 'zod'

/**
 * The form of the file that `CREDENTIALS_FILE` names. No value stands in it: each is in a variable
 * of the server's or in a file of its own.
 */

const entriesMax = 1000

const from = z.union(
  [
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'expected the name of an environment variable'),
    }),
    z.strictObject({
      file: z.string().min(1).max(4096).startsWith('/', 'expected an absolute path'),
    }),
  ],
  { error: 'expected {"env": "NAME"} or {"file": "/absolute/path"}' },
)

const idExpected = 'expected the id of the app, or its client id'

const app = z.strictObject({
  id: z.union(
    [z.int().positive().transform(String), z.string().regex(/^[\w.]{1,64}$/, idExpected)],
    {
      error: idExpected,
    },
  ),
  installation_id: z.int().positive().optional(),
  private_key: from,
})

const git = z.strictObject({
  match: z
    .string()
    .regex(/^(?!\.+\/)[\w.-]{1,100}\/(\*|(?!\.+$)[\w.-]{1,100})$/, 'expected owner/name or owner/*')
    .toLowerCase(),
  token: from.optional(),
  app: app.optional(),
  none: z.literal(true).optional(),
})

export const credentialsFile = z.strictObject({
  $schema: z.string().max(2048).optional(),
  git: z.array(git).max(entriesMax).default([]),
})

export type GitDeclaration = z.infer<typeof git>
/** Where a value is. */
export type From = z.infer<typeof from>
