import type { TaskFunctions } from '../agent/tools/task.ts'
import type { Attempt } from './phase.ts'

/** Reports of progress: at most one in this time, and so many of one agent process. */
const progressGapMs = 2000
const progressMax = 500

/** What the tools about the task do in this attempt. */
export function taskFunctions({ deps, writer }: Attempt): TaskFunctions {
  let lastMs = Number.NEGATIVE_INFINITY
  let count = 0
  return {
    async reportProgress(progress) {
      const now = deps.clock.now()
      if (now - lastMs < progressGapMs || count >= progressMax) return false
      lastMs = now
      count += 1
      await writer.write({ type: 'task.progress', ...progress })
      return true
    },
  }
}
