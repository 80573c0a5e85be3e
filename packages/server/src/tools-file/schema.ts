import { z } from 'zod'
import { inputSchema, isPassable, unpassable } from './input.ts'

/**
 * The form of the file that `TOOLS_FILE` names. docs/tools.schema.json is made from this, for
 * editors. What one field cannot say alone (unique names, placeholders that mean something, secrets
 * that are set) is in `check.ts`.
 */

/** Tools, servers included. */
const toolsMax = 64
const argumentsMax = 64
const argumentCharsMax = 4096
const headersMax = 16
const headerCharsMax = 1024
const variablesMax = 32
const timeoutSeconds = { default: 60, max: 600 } as const

const name = z
  .string()
  .regex(
    /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/,
    'expected letters and digits in lower case, with single _',
  )
  .max(48)
  .describe('What the agent calls it; unique, and none of the names of built-in tools.')

const printable = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[\x20-\x7e]*$/, 'expected printable ASCII characters')

const argv = z
  .array(z.string().max(argumentCharsMax).refine(isPassable, unpassable))
  .min(1)
  .max(argumentsMax)
  .describe(
    'Program and arguments. An argument `{field}` is that field of the input, whole, as one argument (a list: one each); `{file:name}` is the content of a file beside this one, read at the start.',
  )

const env = z
  .record(
    z.string().regex(/^[A-Z_][A-Z0-9_]*$/i, 'expected the name of an environment variable'),
    printable(headerCharsMax),
  )
  .refine(hasAtMost(variablesMax), `expected at most ${variablesMax} variables`)
  .default({})
  .describe('Variables of the process. Never a secret: the agent can read them.')

const headerName = z.string().regex(/^[a-z0-9-]{1,64}$/, 'expected a header name in lower case')
const headers = z
  .record(headerName, printable(headerCharsMax))
  .refine(hasAtMost(headersMax), `expected at most ${headersMax} headers`)
  .default({})
  .describe('Headers as they are. Never a secret: it stands in this file.')

const secretHeaders = z
  .record(
    headerName,
    z.strictObject({
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'expected the name of an environment variable')
        .describe('Variable of the server that holds the secret.'),
      prefix: printable(64).default('').describe('What stands before it, such as `Bearer `.'),
    }),
  )
  .refine(hasAtMost(headersMax), `expected at most ${headersMax} headers`)
  .default({})
  .describe(
    'Headers with a secret, added by the server on the way out; neither the sandbox nor the answer ever has it.',
  )

const url = z
  .string()
  .max(2048)
  .describe(
    'https, or http to a `host:port` that GATEWAY_ALLOW_PRIVATE lists. The origin is fixed; in the path and in query values `{field}` is that field of the input, escaped.',
  )

const command = z
  .strictObject({
    argv,
    stdin: z
      .boolean()
      .default(false)
      .describe('Gives the whole input as JSON on standard input, instead of `{field}` arguments.'),
    env,
    network: z.boolean().default(false).describe('Whether it may reach what the agent may reach.'),
  })
  .describe('A program, started in the sandbox, in the workspace; never through a shell.')

const http = z
  .strictObject({
    method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
    url,
    headers,
    secret_headers: secretHeaders,
    body: z
      .enum(['none', 'json'])
      .default('none')
      .describe('`json`: the fields that the URL does not use, as a JSON object.'),
  })
  .describe('A request that the server makes, outside the sandbox. Redirects are not followed.')

const mcp = z
  .strictObject({
    argv: argv.optional().describe('A server on standard input and output, inside the sandbox.'),
    env,
    url: url
      .optional()
      .describe('A server elsewhere (streamable HTTP), reached through the gateway.'),
    headers,
    secret_headers: secretHeaders,
  })
  .describe('An MCP server; its tools are `mcp__<name>__<tool>`. Either `argv` or `url`.')

const tool = z.strictObject({
  name,
  description: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe('What it does and when to use it, for the agent. Not for MCP servers.'),
  permission_policy: z
    .enum(['always_allow', 'always_deny'], {
      error: ({ input }) =>
        `expected always_allow or always_deny${input === 'always_ask' ? ' (always_ask is not supported yet)' : ''}`,
    })
    .default('always_allow')
    .describe('Whether calls are let through, or refused with a sentence.'),
  read_only: z
    .boolean()
    .default(false)
    .describe('It changes nothing; agents that may only read have it too.'),
  timeout_seconds: z
    .int()
    .min(1)
    .max(timeoutSeconds.max)
    .default(timeoutSeconds.default)
    .describe('Seconds one call may take.'),
  input: inputSchema.optional().describe('The fields of a call; none if it is left out.'),
  command: command.optional(),
  http: http.optional(),
  mcp: mcp.optional(),
})

export const toolsFile = z.strictObject({
  $schema: z.string().max(2048).optional().describe('Where editors find this schema.'),
  tools: z
    .array(tool)
    .max(toolsMax)
    .describe('Each with exactly one of `command`, `http` and `mcp`.'),
})

export type ToolDeclaration = z.infer<typeof tool>
export type HttpDeclaration = z.infer<typeof http>
export type McpDeclaration = z.infer<typeof mcp>
export type CommandDeclaration = z.infer<typeof command>

/** The published form, as an editor reads it: what has a default may be left out. */
export function toolsFileJsonSchema(): object {
  return {
    title: 'Longhaul custom tools',
    ...z.toJSONSchema(toolsFile, { io: 'input' }),
  }
}

function hasAtMost(max: number): (record: object) => boolean {
  return (record) => Object.keys(record).length <= max
}
