import type { z } from 'zod'
import type { UrlTemplate } from './template.ts'

/** A tool or server that the operator declared, checked and with its secrets at hand. */
export type CustomTool = CommandTool | HttpTool | McpServer

interface Common {
  /** Unique among all tools. */
  readonly name: string
  /** Every call is refused. */
  readonly denied: boolean
  /** It changes nothing. */
  readonly readOnly: boolean
  /** Of one call. */
  readonly timeoutMs: number
}

/** A process in the sandbox. */
export interface CommandTool extends Common {
  readonly kind: 'command'
  readonly description: string
  readonly input: z.ZodObject
  readonly argv: readonly Argument[]
  /** Whether it is given the input as JSON. */
  readonly stdin: boolean
  readonly env: Readonly<Record<string, string>>
  readonly network: boolean
}

/** One argument of a command; the content of a file is a text already. */
export type Argument =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'file'; readonly name: string }

/** A request that the gateway makes. */
export interface HttpTool extends Common {
  readonly kind: 'http'
  readonly description: string
  readonly input: z.ZodObject
  readonly method: string
  readonly url: UrlTemplate
  readonly headers: Readonly<Record<string, string>>
  /** Headers whose values are secret. */
  readonly secretHeaders: Readonly<Record<string, string>>
  /** The secrets alone, without what stands before them: no answer may have them. */
  readonly secrets: readonly string[]
  /** The fields that are sent as a JSON object; null: no body. */
  readonly bodyFields: readonly string[] | null
}

/** An MCP server: inside the sandbox, or elsewhere and reached through the gateway. */
export interface McpServer extends Common {
  readonly kind: 'mcp'
  readonly at:
    | {
        readonly where: 'sandbox'
        readonly argv: readonly string[]
        readonly env: Readonly<Record<string, string>>
      }
    | {
        readonly where: 'remote'
        readonly url: URL
        readonly headers: Readonly<Record<string, string>>
        readonly secretHeaders: Readonly<Record<string, string>>
        readonly secrets: readonly string[]
      }
}
