import { z } from 'zod'
import { pathField } from './fs.ts'
import { defineTool, type Tool, ToolRefused } from './tool.ts'

/** What the tools about the task itself do. */
export interface TaskFunctions {
  /** Puts it into the log for who watches; false: too soon after the last one, or too many. */
  reportProgress(progress: Progress): Promise<boolean>
  /** Keeps a file of the workspace with the task. Throws `ToolRefused`. */
  attachArtifact(file: Attachment, signal: AbortSignal): Promise<Attached>
}

/** How far the work has come, in the agent's words. */
interface Progress {
  readonly message: string
  readonly percent?: number | undefined
}

/** A file to keep. */
interface Attachment {
  readonly path: string
  readonly name: string
  readonly contentType: string
}

/** What was kept, under its name among the task's artifacts. */
interface Attached {
  readonly artifact: string
  readonly bytes: number
}

/** Characters of one report. */
const messageCharsMax = 500

const artifactName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'expected letters, digits, `.`, `_` or `-`')
  .describe("Its name, behind `attached-`, among the task's artifacts; default: the file's own.")
const contentType = z
  .string()
  .regex(/^[a-z]+\/[a-z0-9.+-]{1,100}$/, 'expected a media type such as image/png')
  .describe('Its media type; guessed from the name by default.')

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
    defineTool({
      name: 'attach_artifact',
      description:
        'Keeps a file of the workspace with the task, where whoever ordered it can fetch it: a ' +
        'report, a log, a picture. It replaces what you attached under the same name.',
      input: {
        path: pathField,
        name: artifactName.optional(),
        content_type: contentType.optional(),
      },
      readOnly: true,
      async run({ path, name, content_type: given }, { signal }) {
        const called = name ?? nameIn(path)
        const contentType = given ?? contentTypeOf(called)
        const file = { path, name: called, contentType }
        const { artifact, bytes } = await functions.attachArtifact(file, signal)
        return `Attached ${path} as ${artifact} (${contentType}, ${bytes} bytes).`
      },
    }),
  ]
}

function nameIn(path: string): string {
  const name = artifactName.safeParse(path.split('/').findLast((part) => part !== ''))
  if (!name.success) throw new ToolRefused(`Give ${path} a \`name\` of letters, digits, . _ or -.`)
  return name.data
}

function contentTypeOf(name: string): string {
  const ending = /\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''
  return contentTypes[ending] ?? 'application/octet-stream'
}

/** Of the endings that people attach most; whatever it is called, a browser only saves it. */
const contentTypes: Readonly<Record<string, string>> = {
  csv: 'text/csv',
  json: 'application/json',
  log: 'text/plain',
  md: 'text/markdown',
  patch: 'text/x-patch',
  pdf: 'application/pdf',
  png: 'image/png',
  txt: 'text/plain',
}
