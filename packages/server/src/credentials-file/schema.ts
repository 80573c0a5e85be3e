import { z } from 'zod'
import { secretMethods } from './credentials.ts'

/**
 * The form of the file that `CREDENTIALS_FILE` names. No value stands in it: each is in a variable
 * of the server's or in a file of its own.
 */

const entriesMax = 1000
const secretsMax = 100
const rulesMax = 100

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

const match = z
  .string()
  .regex(/^(?!\.+\/)[\w.-]{1,100}\/(\*|(?!\.+$)[\w.-]{1,100})$/, 'expected owner/name or owner/*')
  .toLowerCase()

const git = z.strictObject({
  match,
  token: from.optional(),
  app: app.optional(),
  none: z.literal(true).optional(),
})

/** Set by us or by the connection, or what a client inside says of itself. */
const ownHeaders =
  'accept accept-encoding connection content-length content-type expect host keep-alive range te trailer transfer-encoding upgrade'.split(
    ' ',
  )

const header = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9-]{0,63}$/, 'expected the name of a header')
  .toLowerCase()
  .refine(
    (name) => !ownHeaders.includes(name) && !name.startsWith('proxy-'),
    "expected a header that is not the server's",
  )

/** A name or an IPv4 address in one spelling, so that it can be compared. */
const host = z
  .string()
  .max(260)
  .transform((text, context) => {
    const isPlain = /^[a-z0-9.-]*[a-z0-9](?::[1-9]\d{0,4})?$/i.test(text)
    const url = isPlain ? URL.parse(`https://${text}`) : null
    if (url !== null) return { host: url.hostname, port: Number(url.port || 443) }
    context.addIssue('expected host or host:port, such as api.example.com')
    return z.NEVER
  })

const secret = z.strictObject({
  host,
  header: header.default('authorization'),
  prefix: z
    .string()
    .regex(/^[\x20-\x7e]{0,64}$/, 'expected at most 64 printable characters')
    .default(''),
  value: from,
  ca: z.string().min(1).max(4096).startsWith('/', 'expected an absolute path').optional(),
  repositories: z.array(match).min(1).max(rulesMax),
  methods: z
    .array(z.enum(secretMethods, { error: `expected one of ${secretMethods.join(', ')}` }))
    .min(1)
    .optional(),
  paths: z
    .array(z.string().regex(/^(?:\/[\w.~!$&'()*+,=:@-]+)*\/?$/, 'expected the beginning of a path'))
    .min(1)
    .max(rulesMax)
    .optional(),
})

/** Variables `<NAME>_URL` that programs inside have already, or that would turn the agent elsewhere. */
const taken = /^(?:ANTHROPIC|CLAUDE)(?:_|$)|^PIP_(?:EXTRA_)?INDEX$/

const secretName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'expected a name in capitals, such as STRIPE')
  .refine((name) => !taken.test(name), 'expected a name whose _URL is no variable of the sandbox')

export const credentialsFile = z.strictObject({
  $schema: z.string().max(2048).optional(),
  git: z.array(git).max(entriesMax).default([]),
  secrets: z
    .record(secretName, secret)
    .refine(
      (secrets) => Object.keys(secrets).length <= secretsMax,
      `expected at most ${secretsMax} secrets`,
    )
    .default({}),
})

export type GitDeclaration = z.infer<typeof git>
export type SecretDeclaration = z.infer<typeof secret>
/** Where a value is. */
export type From = z.infer<typeof from>
