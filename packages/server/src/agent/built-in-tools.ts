import type { BuiltInTool } from '@longhaul/client/contract'

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
}
