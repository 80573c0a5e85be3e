import { z } from 'zod'
import { defineTool, type Tool } from './tool.ts'

/** What the tools about the task itself do. */
export interface TaskFunctions {
  /** Puts it into the log for who watches; false: too soon after the last one, or too many. */
  reportProgress(progress: Progress): Promise<boolean>
}

/** How far the work has come, in the agent's words. */
interface Progress {
  readonly message: string
  readonly percent?: number | undefined
}

/** Characters of one report. */
const messageCharsMax = 500

/** The tools with which an agent tells about its task. */
export function taskTools(functions: TaskFunctions): Tool[] {
  return [
    defineTool({
      name: 'report_progress',
      description:
        'Tells whoever ordered this task how far it has come, in one sentence. Use it when a ' +
        'larger step begins or ends, not for every command.',
      input: {
        message: z
          .string()
          .trim()
          .min(1)
          .max(messageCharsMax)
          .describe('One sentence: what is done, or what you do now.'),
        percent: z
          .number()
          .min(0)
          .max(100)
          .optional()
          .describe('How much of the whole is done, as far as you can tell.'),
      },
      readOnly: true,
      run: async (progress) =>
        (await functions.reportProgress(progress))
          ? 'Reported.'
          : 'Not shown: too soon after the last report, or too many of them. Go on with the work.',
    }),
  ]
}
