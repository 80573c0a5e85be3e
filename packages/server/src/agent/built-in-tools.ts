import type { BuiltInTool } from '@longhaul/client/contract'

/** The tool by which the agent asks a human: its answers are put into the call's input. */
export const questionTool = 'AskUserQuestion'

/** The Agent SDK's names of what an agent's profile calls by one name. */
export const sdkTools: Readonly<Record<BuiltInTool, readonly string[]>> = {
  // What runs in the background is stopped by the one who may start it.
  bash: ['Bash', 'TaskStop'],
  read: ['Read'],
  write: ['Write'],
  edit: ['Edit'],
  glob: ['Glob'],
  grep: ['Grep'],
  agent: ['Agent'],
  plan: ['TaskCreate', 'TaskUpdate', 'TaskList', 'TaskGet'],
  ask: [questionTool],
}

/** The names by which the CLI (2.1) still takes calls of tools that were renamed. */
const formerNames: ReadonlyMap<string, string> = new Map([
  ['Task', 'Agent'],
  ['KillShell', 'TaskStop'],
  ['KillBash', 'TaskStop'],
])

/** The name of the tool that a call by this name reaches. */
export function sdkToolNamed(name: string): string {
  return formerNames.get(name) ?? name
}
