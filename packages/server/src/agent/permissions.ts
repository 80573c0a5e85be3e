import type { HookCallback, Options, PermissionResult } from '@anthropic-ai/claude-agent-sdk'
import type { ApprovalAnswer } from '@longhaul/client/contract'
import { questionTool, sdkToolNamed } from './built-in-tools.ts'
import { type Fields, fieldsOf, textOf } from './fields.ts'

/** What an agent may do with a tool that it sees. */
type Access = 'allow' | 'ask' | 'deny'

/** What a human, or a deadline, decided about a call. */
interface Decided {
  readonly toolUseId: string | null
  /** The tool, by its name in the profile; null: it was a question. */
  readonly tool: string | null
  /** Null: nobody answered, and the task fails of it. */
  readonly answer: ApprovalAnswer | null
}

/** What an agent needs to know to decide about its calls. */
export interface Permission {
  /** The name of a tool in the agent's profile, by the SDK's; several may be one there. */
  readonly nameOf: (tool: string) => string
  /** By the name in the profile. */
  readonly access: (name: string) => Access
  /** The SDK's names of tools whose every call is refused. */
  readonly denied: readonly string[]
  /** Whether there is any tool about which a human is asked. */
  readonly asks: boolean
  readonly decided: readonly Decided[]
}

type Verdict =
  | { readonly kind: 'allow'; readonly input?: Fields }
  | { readonly kind: 'deny'; readonly why: string }
  /** The process ends, and the call is made, or refused, when the conversation goes on. */
  | { readonly kind: 'defer' }

/**
 * Decides about every tool call of one process.
 *
 * A call that waits for a human is deferred: the CLI ends the turn and keeps the call, and a process
 * that resumes the conversation makes it by itself, after asking again. That question comes to the
 * hook, or, when the hook is not registered yet (a race in claude 2.1.330, seen in one of three
 * starts), to `canUseTool`; in the mode `bypassPermissions` it comes to nobody, and the call is made
 * whatever was answered. So an agent with a tool to ask about has the mode `default`, and both ways
 * lead to the same decision. The others are spared the questions.
 */
export class Permissions {
  readonly #o: Permission
  /** The call that this process gave up its turn for. */
  #deferred: string | null = null

  constructor(o: Permission) {
    this.#o = o
  }

  options(): Pick<Options, 'permissionMode' | 'permissionPrompts' | 'canUseTool'> {
    if (!this.#o.asks) return {}
    return {
      permissionMode: 'default',
      permissionPrompts: 'host',
      canUseTool: async (name, input, { toolUseID }) =>
        resultOf(this.decide({ name, input: fieldsOf(input), id: toolUseID }), input),
    }
  }

  /** A hook costs each call that it matches some 10 ms: only what it is needed for has it. */
  hooks(): NonNullable<Options['hooks']> {
    const { asks, denied } = this.#o
    if (!asks && denied.length === 0) return {}
    const matcher = asks ? {} : { matcher: denied.join('|') }
    return { PreToolUse: [{ ...matcher, hooks: [this.#hook] }] }
  }

  /** What is so of a tool, for the log. */
  access(name: string): Access {
    return this.#o.access(this.#o.nameOf(sdkToolNamed(name)))
  }

  decide(call: {
    readonly name: string
    readonly input: Fields
    readonly id: string
    /** Made by a sub-agent, whose conversation cannot wait. */
    readonly isSubagents?: boolean
  }): Verdict {
    const tool = sdkToolNamed(call.name)
    const access = this.access(tool)
    if (access === 'deny')
      return { kind: 'deny', why: `The agent's profile does not allow ${tool}.` }
    const isQuestion = tool === questionTool
    if (access === 'allow' && !isQuestion) return { kind: 'allow' }
    const decided = this.#decisionOf(tool, call.id)
    if (decided !== undefined) return verdictOf(decided, call.input)
    if (call.isSubagents === true)
      return { kind: 'deny', why: `${tool} needs a human's approval: leave it to the main agent.` }
    // Of two deferred calls the CLI would forget the first.
    if (this.#deferred !== null && this.#deferred !== call.id)
      return {
        kind: 'deny',
        why: 'Another call waits for a human already. Make this one again after it.',
      }
    this.#deferred = call.id
    return { kind: 'defer' }
  }

  #decisionOf(tool: string, id: string): Decided | undefined {
    const { decided } = this.#o
    const isAlways = (one: Decided): boolean =>
      one.tool === this.#o.nameOf(tool) && one.answer?.decision === 'allow_always'
    return decided.find((one) => one.toolUseId === id) ?? decided.find(isAlways)
  }

  readonly #hook: HookCallback = (given) => {
    if (given.hook_event_name !== 'PreToolUse') return Promise.resolve({})
    const verdict = this.decide({
      name: given.tool_name,
      input: fieldsOf(given.tool_input),
      id: textOf(given.tool_use_id),
      isSubagents: given.agent_id !== undefined,
    })
    const event = { hookEventName: 'PreToolUse' } as const
    const output =
      verdict.kind === 'allow'
        ? {
            permissionDecision: 'allow' as const,
            ...(verdict.input && { updatedInput: verdict.input }),
          }
        : verdict.kind === 'defer'
          ? { permissionDecision: 'defer' as const }
          : { permissionDecision: 'deny' as const, permissionDecisionReason: verdict.why }
    return Promise.resolve({ hookSpecificOutput: { ...event, ...output } })
  }
}

/** Only a hook can defer: what comes here undecided is to be asked for again. */
function resultOf(verdict: Verdict, input: Record<string, unknown>): PermissionResult {
  if (verdict.kind === 'allow') return { behavior: 'allow', updatedInput: verdict.input ?? input }
  const message =
    verdict.kind === 'deny' ? verdict.why : 'It needs a human, and was not asked for. Try again.'
  return { behavior: 'deny', message }
}

function verdictOf({ answer }: Decided, input: Fields): Verdict {
  switch (answer?.decision) {
    case 'allow':
      return answer.input === undefined ? { kind: 'allow' } : { kind: 'allow', input: answer.input }
    case 'allow_always':
      return { kind: 'allow' }
    case 'answer':
      return { kind: 'allow', input: { ...input, answers: joined(answer.answers) } }
    case 'deny':
      return { kind: 'deny', why: answer.message ?? 'A human said no.' }
    // Of a budget, or of nobody.
    case 'raise':
    case undefined:
      return { kind: 'deny', why: 'Nobody answered.' }
  }
}

/** Several choices are one text, as the CLI writes them. */
function joined(answers: Readonly<Record<string, string | string[]>>): Fields {
  const entries = Object.entries(answers)
  return Object.fromEntries(
    entries.map(([question, answer]) => [
      question,
      typeof answer === 'string' ? answer : answer.join(', '),
    ]),
  )
}
