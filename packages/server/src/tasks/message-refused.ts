import type { TaskRow } from '../store/tables.ts'
import { progressOf } from './progress.ts'

/** Why a message is not taken: an error code and a sentence. */
export interface MessageRefused {
  readonly kind: 'refused'
  readonly code: string
  readonly why: string
}

export function refuse(code: string, why: string): MessageRefused {
  return { kind: 'refused', code, why }
}

/** A deploy's commands run once, after the agent: it could not work on anything after them. */
export function deployBegun(task: TaskRow): MessageRefused | null {
  const { commands, commandStarted } = progressOf(task.progress)
  if (!commandStarted && commands.length === 0) return null
  const why =
    'The commands of this deploy have begun, and none of them is run twice; order a new task.'
  return refuse('deploy_begun', why)
}
