import { z } from 'zod'
import { defineTool, type Tool, ToolRefused } from './tool.ts'

/**
 * What the file tools do, below the workspace and without following a link. All throw `ToolRefused`
 * for a path or a file that is not taken.
 */
export interface FileFunctions {
  read(path: string, signal: AbortSignal): Promise<Buffer>
  /** Answers whether it replaced a file. */
  write(o: FileWrite, signal: AbortSignal): Promise<boolean>
  list(path: string, depth: number, signal: AbortSignal): Promise<FileList>
  /** These answer what it was: `a file`, `a directory`, … */
  delete(path: string, recursive: boolean, signal: AbortSignal): Promise<string>
  move(way: FileWay, signal: AbortSignal): Promise<string>
  copy(way: FileWay, signal: AbortSignal): Promise<string>
}

interface FileWrite {
  readonly path: string
  readonly data: Buffer
  /** Refused when there is a file already. */
  readonly isNew: boolean
}

interface FileList {
  readonly entries: readonly {
    readonly path: string
    readonly kind: string
    readonly bytes: number
  }[]
  readonly more: boolean
}

interface FileWay {
  readonly from: string
  readonly to: string
  readonly replace: boolean
}

/** Characters of a path; its bytes are judged where it is used. */
const pathCharsMax = 4096
/** Characters of a text that is written at once. */
const contentCharsMax = 4 * 1024 * 1024
const linesMax = 2000
/** Characters of a file that one answer shows; the rest is asked for with `offset`. */
const shownCharsMax = 36_000
const listDepthMax = 5

/** A path of the workspace, as every tool takes it. */
export const pathField = z
  .string()
  .min(1)
  .max(pathCharsMax)
  .describe('Relative to the workspace, or absolute and in it. Links are not followed.')

const replaceField = z
  .boolean()
  .default(false)
  .describe('Whether a file that is there already may be replaced.')

/** The tools for the workspace's files. */
export function fileTools(files: FileFunctions): Tool[] {
  return [readTool(files), listTool(files), ...changeTools(files)]
}

function readTool(files: FileFunctions): Tool {
  return defineTool({
    name: 'fs_read',
    description: 'Reads a text file of the workspace, exactly as it is, without line numbers.',
    input: {
      path: pathField,
      offset: z.int().min(1).default(1).describe('The first line, from 1.'),
      limit: z.int().min(1).max(linesMax).default(linesMax).describe('Lines at most.'),
    },
    readOnly: true,
    run: async ({ path, offset, limit }, { signal }) =>
      linesOf(textOf(path, await files.read(path, signal)), { offset, limit }),
  })
}

function listTool(files: FileFunctions): Tool {
  return defineTool({
    name: 'fs_list',
    description:
      'Lists a directory of the workspace: a line for each entry, with its kind and size in bytes.',
    input: {
      path: pathField.default('.'),
      depth: z.int().min(1).max(listDepthMax).default(1).describe('Levels of directories.'),
    },
    readOnly: true,
    async run({ path, depth }, { signal }) {
      const { entries, more } = await files.list(path, depth, signal)
      const lines = entries.map(({ path: name, kind, bytes }) => {
        const shown = JSON.stringify(name).slice(1, -1)
        if (kind === 'a directory') return `${shown}/`
        return kind === 'a file' ? `${shown}  ${bytes}` : `${shown}  (${kind.replace(/^an? /, '')})`
      })
      if (lines.length === 0) return 'The directory is empty.'
      return [...lines, ...(more ? [`[only the first ${lines.length} entries]`] : [])].join('\n')
    },
  })
}

function changeTools(files: FileFunctions): Tool[] {
  const way = {
    from: pathField,
    to: pathField.describe('The new path, not the directory that it goes into.'),
    replace: replaceField,
  }
  return [
    defineTool({
      name: 'fs_write',
      description: 'Writes a text file of the workspace as a whole, with the directories it needs.',
      input: {
        path: pathField,
        content: z.string().max(contentCharsMax).describe('The whole text of the file.'),
        replace: z.boolean().default(true).describe('False: refused when there is a file already.'),
      },
      readOnly: false,
      async run({ path, content, replace }, { signal }) {
        if (!content.isWellFormed()) throw new ToolRefused('content is not well-formed Unicode.')
        const data = Buffer.from(content)
        const replaced = await files.write({ path, data, isNew: !replace }, signal)
        return `${replaced ? 'Replaced' : 'Made'} ${path} (${data.length} bytes).`
      },
    }),
    defineTool({
      name: 'fs_delete',
      description: 'Deletes a file, a link or a directory of the workspace.',
      input: {
        path: pathField,
        recursive: z
          .boolean()
          .default(false)
          .describe('Whether a directory goes with what is in it.'),
      },
      readOnly: false,
      run: async ({ path, recursive }, { signal }) =>
        `Deleted ${path} (${await files.delete(path, recursive, signal)}).`,
    }),
    defineTool({
      name: 'fs_move',
      description: 'Moves or renames a file, a link or a directory within the workspace.',
      input: way,
      readOnly: false,
      run: async (given, { signal }) =>
        `Moved ${given.from} (${await files.move(given, signal)}) to ${given.to}.`,
    }),
    defineTool({
      name: 'fs_copy',
      description:
        'Copies a file, or a directory with what is in it, within the workspace. Links are copied as links.',
      input: way,
      readOnly: false,
      run: async (given, { signal }) =>
        `Copied ${given.from} (${await files.copy(given, signal)}) to ${given.to}.`,
    }),
  ]
}

function textOf(path: string, data: Buffer): string {
  try {
    if (!data.includes(0)) return new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    // Said below.
  }
  throw new ToolRefused(`${path} is not UTF-8 text: ${data.length} bytes of something else.`)
}

function linesOf(text: string, o: { readonly offset: number; readonly limit: number }): string {
  if (text === '') return '[the file is empty]'
  const lines = text.split(/(?<=\n)/)
  if (o.offset > lines.length)
    throw new ToolRefused(`The file has ${lines.length} lines; offset ${o.offset} is beyond them.`)
  const from = o.offset - 1
  let chars = 0
  const shown = lines.slice(from, from + o.limit).filter((line) => {
    chars += line.length
    return chars <= shownCharsMax
  })
  if (shown.length === 0) {
    const part = (lines[from] ?? '').slice(0, shownCharsMax).toWellFormed()
    return `${part}\n[line ${o.offset} of ${lines.length} is longer than one answer]`
  }
  const last = from + shown.length
  if (last === lines.length) return shown.join('')
  return `${shown.join('')}\n[lines ${o.offset} to ${last} of ${lines.length}; go on with offset ${last + 1}]`
}
