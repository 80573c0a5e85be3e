import { z } from 'zod'

/** One typed in-process tool, as the agent sees it: `mcp__longhaul__<name>`. */
export interface Tool {
  /** snake_case, its group first: `git_status`, `fs_read`. */
  readonly name: string
  readonly description: string
  /** Strict; every field is described and bounded. */
  readonly input: z.ZodObject
  /** Leaves the repository and everything outside as it is, so read-only profiles have it, too. */
  readonly readOnly: boolean
  /** Milliseconds that a call may take; absent: `toolMsMax` of `server.ts`. */
  readonly timeoutMs?: number
  /**
   * Answers the text that the agent reads. `input` was parsed by `input`. Throws `ToolRefused` with
   * a sentence for the agent; anything else that it throws is a fault of ours.
   */
  run(input: unknown, o: ToolContext): Promise<string>
}

/** What a call is told beside its input. */
export interface ToolContext {
  /** Aborts when nobody waits for the answer any more; what the call started must end with it. */
  readonly signal: AbortSignal
}

/** The tool was used wrongly, or what it is asked cannot be done; the message goes to the agent. */
export class ToolRefused extends Error {}

/** Makes a tool whose `run` sees the fields of `input` with their types. */
export function defineTool<S extends z.ZodRawShape>(
  o: Omit<Tool, 'input' | 'run'> & {
    readonly input: S
    run(input: z.infer<z.ZodObject<S>>, context: ToolContext): Promise<string>
  },
): Tool {
  const input = z.strictObject(o.input)
  return { ...o, input, run: async (given, context) => o.run(input.parse(given), context) }
}
