import {
  type AgentContent,
  type BuiltInTool,
  defaultTools,
  type TaskType,
  type Toolset,
} from '@longhaul/client/contract'

/** What a task type fixes, whichever agent works: its agent may do less, and never more. */
export interface Preset {
  /** The built-in tools that an agent may have. */
  readonly tools: readonly BuiltInTool[]
  /** Told to every agent after its own system prompt: what is so, whatever that says. */
  readonly facts: string
  /** Whether the work is pushed and a pull request opened; a clone without it has no push route. */
  readonly publishes: boolean
  /** Whether checks decide about the end even when nothing was changed. */
  readonly checksUnchanged: boolean
  /** The agent that is seeded for it, and works where the order names none. */
  readonly agent: AgentContent
}

/** Model turns of an agent that names no number. */
export const turnsDefault = 300

const look = ['read', 'glob', 'grep'] as const
const change = ['write', 'edit'] as const
const plan = ['agent', 'plan', 'ask'] as const
const all = ['bash', ...look, ...change, ...plan] as const

/** The five presets, one a task type. */
export const presets: Readonly<Record<TaskType, Preset>> = {
  refactor: {
    tools: all,
    facts: '',
    publishes: true,
    checksUnchanged: false,
    agent: seed({
      name: 'Refactoring',
      description: 'Changes code as ordered and keeps the rest of its behaviour.',
      system:
        'Change the code as ordered. Read before you write, keep the behaviour that the order does not change, follow the style you find, and run the tests before you finish.',
    }),
  },
  custom: {
    tools: all,
    facts: '',
    publishes: true,
    checksUnchanged: false,
    agent: seed({
      name: 'Custom work',
      description: 'Does what the order says.',
      system: 'Do what the order says, in this repository. Run the tests before you finish.',
    }),
  },
  test: {
    tools: all,
    facts: '',
    publishes: true,
    checksUnchanged: true,
    agent: seed({
      name: 'Test suite',
      description: 'Runs the test suite, finds out why tests fail, and mends the cause.',
      system:
        'Run the test suite, however long it takes. Find out why tests fail, fix the cause (a test is changed only when the test itself is wrong, and then say so), and run the suite again until it passes. Report each failure, its cause and its fix.',
    }),
  },
  analysis: {
    tools: ['bash', ...look, ...plan],
    facts:
      'You work in a private clone: nothing you change is kept and nothing can be pushed. Your last message is the report.',
    publishes: false,
    checksUnchanged: false,
    agent: seed({
      name: 'Analysis',
      description: 'Answers a question about a repository with a report.',
      system:
        'Answer the question about this repository. The report is complete, in Markdown, and names files and lines.',
      off: change,
      max_turns: 200,
    }),
  },
  deploy: {
    // No shell: what may run is the order's list, and the server runs exactly that.
    tools: [...look, ...change, ...plan],
    facts:
      'You run nothing yourself. After you finish, the server runs exactly the commands that the order lists, in their order. If it lists none, nothing is run: say which commands you would run and why.',
    publishes: true,
    checksUnchanged: false,
    agent: seed({
      name: 'Deployment',
      description: 'Prepares a deployment, whose commands the server then runs.',
      system:
        'Prepare the deployment that the order describes: read, and change what must be changed in the repository.',
      off: ['bash'],
      max_turns: 200,
    }),
  },
}

function seed(
  o: Pick<AgentContent, 'name' | 'description' | 'system'> & {
    readonly off?: readonly BuiltInTool[]
    readonly max_turns?: number
  },
): AgentContent {
  const { name, description, system, off = [], max_turns = turnsDefault } = o
  return {
    ...{ name, description, system, max_turns },
    model: { id: null, effort: null },
    // Whoever orders from one of these is perhaps a program: nobody is there to answer.
    tools: [without([...off, 'ask'])],
    subagents: [],
    metadata: {},
  }
}

function without(off: readonly BuiltInTool[]): Toolset {
  const configs = off.map((name) => ({ ...defaultTools.default_config, name, enabled: false }))
  return { ...defaultTools, configs }
}
