import { builtInTool } from '@longhaul/client/contract'

/**
 * Names that the operator's tools cannot have: those of the built-in tools, today's and any that a
 * later version adds to these families, so that an update breaks no file.
 */
const families = ['code', 'docker', 'fs', 'gh', 'git', 'longhaul']
const names: readonly string[] = [
  ...builtInTool.options,
  'attach_artifact',
  'report_progress',
  'ask',
  'request_approval',
]

export function isReserved(name: string): boolean {
  return names.includes(name) || families.includes(name.split('_')[0] ?? '')
}
