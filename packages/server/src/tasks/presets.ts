import type { TaskType } from '@longhaul/client/contract'

/** What a task type means: what its agent may do, and what becomes of its work. */
export interface Preset {
  /** Names of the Agent SDK's tools that the agent has. */
  readonly tools: readonly string[]
  /** Appended to the system prompt. */
  readonly mission: string
  /** Whether the work is pushed and a pull request opened; a clone without it has no push route. */
  readonly publishes: boolean
  /** Whether checks decide about the end even when nothing was changed. */
  readonly checksUnchanged: boolean
  /** Model turns after which the agent is stopped. */
  readonly turnsMax: number
}

const look = ['Read', 'Glob', 'Grep'] as const
const change = ['Write', 'Edit'] as const
const plan = ['Agent', 'TaskCreate', 'TaskUpdate', 'TaskList', 'TaskGet'] as const

/** The Agent SDK's tools that an agent may have. */
export const builtInTools = ['Bash', 'TaskStop', ...look, ...change, ...plan] as const
const all = builtInTools

/** The five presets, one a task type. */
export const presets: Readonly<Record<TaskType, Preset>> = {
  refactor: {
    tools: all,
    mission:
      'Change the code as ordered. Read before you write, keep the behaviour that the order does not change, follow the style you find, and run the tests before you finish.',
    publishes: true,
    checksUnchanged: false,
    turnsMax: 300,
  },
  custom: {
    tools: all,
    mission: 'Do what the order says, in this repository. Run the tests before you finish.',
    publishes: true,
    checksUnchanged: false,
    turnsMax: 300,
  },
  test: {
    tools: all,
    mission:
      'Run the test suite, however long it takes. Find out why tests fail, fix the cause (a test is changed only when the test itself is wrong, and then say so), and run the suite again until it passes. Report each failure, its cause and its fix.',
    publishes: true,
    checksUnchanged: true,
    turnsMax: 300,
  },
  analysis: {
    tools: ['Bash', 'TaskStop', ...look, ...plan],
    mission:
      'Answer the question about this repository. You work in a private clone: nothing you change is kept and nothing can be pushed. Your last message is the report: complete, in Markdown, naming files and lines.',
    publishes: false,
    checksUnchanged: false,
    turnsMax: 200,
  },
  deploy: {
    // No shell: what may run is the order's list, and the server runs exactly that.
    tools: [...look, ...change, ...plan],
    mission:
      'Prepare the deployment that the order describes: read, and change what must be changed in the repository. You run nothing yourself. After you finish, the server runs exactly the commands that the order lists, in their order. If it lists none, nothing is run: say which commands you would run and why.',
    publishes: true,
    checksUnchanged: false,
    turnsMax: 200,
  },
}
