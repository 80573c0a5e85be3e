import { createHash } from 'node:crypto'
import { z } from 'zod'
import { fileBytesMax } from './code/bounds.ts'
import type { CodeEdit } from './code/edit.ts'
import type { Language } from './code/language.ts'
import { languageOf, languages } from './code/languages.ts'
import type { CodeParser } from './code/parser.ts'
import type { CodeOutline } from './code/requests.ts'
import { type SearchCode, searchTool } from './code/search.ts'
import { type FileFunctions, pathField } from './fs.ts'
import { defineTool, type Tool, ToolRefused } from './tool.ts'

/** What the code tools work with. */
export interface CodeFunctions {
  /** Files of the workspace, as the file tools have them. */
  readonly files: Pick<FileFunctions, 'read' | 'write'>
  readonly search: SearchCode
  readonly parser: CodeParser
}

/** Milliseconds of a call: the file is read and written, and others may be parsed before it. */
const timeoutMs = 120_000
/** Symbols that one answer lists. */
const listedMax = 250
/** Characters of the text of one edit, of a symbol's path and of a name. */
const textCharsMax = 200_000
const symbolCharsMax = 500
const nameCharsMax = 200

const known = languages.map(({ name }) => name).join(', ')

/** The tools that see a file as what it declares, and the search through all of them. */
export function codeTools(functions: CodeFunctions): Tool[] {
  return [outlineTool(functions), searchTool(functions.search), editTool(functions)]
}

function outlineTool(functions: CodeFunctions): Tool {
  return defineTool({
    name: 'code_outline',
    description:
      `Lists what a source file declares (${known}): kind, path, lines and signature of each ` +
      'symbol, and the revision that code_edit needs.',
    input: {
      path: pathField,
      within: z
        .string()
        .max(symbolCharsMax)
        .optional()
        .describe('Only this symbol and what is in it, e.g. `Server.Options`.'),
    },
    readOnly: true,
    timeoutMs,
    async run({ path, within }, { signal }) {
      const file = await opened(functions, path, signal)
      const outline = await functions.parser.outline(file.language, file.text, signal)
      return [
        `${path} (${file.language.name}), revision ${file.revision}`,
        ...listed(outline, within),
      ].join('\n')
    },
  })
}

function editTool(functions: CodeFunctions): Tool {
  return defineTool({
    name: 'code_edit',
    description:
      'Replaces, extends or renames one symbol of a source file, as code_outline lists it. Refused ' +
      'when the file changed since then, when the symbol is ambiguous, and when the file would no ' +
      'longer parse. `rename` renames the uses in this file that the syntax alone makes sure of, ' +
      'and is refused if others may be meant; it changes no other file.',
    input: {
      path: pathField,
      revision: z.string().max(nameCharsMax).describe('The revision that code_outline answered.'),
      symbol: z.string().min(1).max(symbolCharsMax).describe('Its path, e.g. `Server.listen`.'),
      line: z.int().min(1).optional().describe('Its first line, if others have the same path.'),
      operation: z.enum(['replace', 'insert_before', 'insert_after', 'rename']),
      text: z
        .string()
        .max(textCharsMax)
        .optional()
        .describe(
          'For all but rename: whole lines with the indentation that they have in the file. A ' +
            'replaced symbol includes its decorators and `export`, not the comment above it; an ' +
            'empty text removes it.',
        ),
      new_name: z.string().min(1).max(nameCharsMax).optional().describe('For rename.'),
    },
    readOnly: false,
    timeoutMs,
    async run(given, { signal }) {
      const edit = editOf(given)
      const file = await opened(functions, given.path, signal)
      if (file.revision !== given.revision)
        throw new ToolRefused(
          `${given.path} is no longer as it was outlined: it is ${file.revision} now.`,
        )
      const edited = await functions.parser.edit(file.language, { text: file.text, edit }, signal)
      const data = Buffer.from(edited.text)
      // Parsing takes its time: what was written meanwhile, by a command of the agent's, stays.
      if (!(await functions.files.read(given.path, signal)).equals(file.data))
        throw new ToolRefused(`${given.path} was changed meanwhile.`)
      await functions.files.write({ path: given.path, data, isNew: false }, signal)
      return (
        `${done[edit.operation]} ${edit.symbol}: changed ${linesOf(edited.changedLines)}. ` +
        `${given.path} has revision ${revisionOf(data)} now.${brokenNote(edited)}`
      )
    },
  })
}

const done = {
  replace: 'Replaced',
  insert_before: 'Inserted before',
  insert_after: 'Inserted after',
  rename: 'Renamed',
} as const

function editOf(given: {
  readonly symbol: string
  readonly line?: number | undefined
  readonly operation: CodeEdit['operation']
  readonly text?: string | undefined
  readonly new_name?: string | undefined
}): CodeEdit {
  const { symbol, line, operation, text, new_name: newName } = given
  if (operation === 'rename') {
    if (newName === undefined || text !== undefined)
      throw new ToolRefused('rename takes new_name, and no text.')
    return { symbol, line, operation, newName }
  }
  if (text === undefined || newName !== undefined)
    throw new ToolRefused(`${operation} takes text, and no new_name.`)
  if (!text.isWellFormed()) throw new ToolRefused('text is not well-formed Unicode.')
  return { symbol, line, operation, text }
}

interface Opened {
  readonly language: Language
  readonly data: Buffer
  readonly text: string
  readonly revision: string
}

async function opened(
  { files }: CodeFunctions,
  path: string,
  signal: AbortSignal,
): Promise<Opened> {
  const language = languageOf(path)
  if (language === undefined)
    throw new ToolRefused(`${path} is in none of these languages: ${known}.`)
  const data = await files.read(path, signal)
  if (data.length > fileBytesMax)
    throw new ToolRefused(`${path} has ${data.length} bytes; at most ${fileBytesMax} are parsed.`)
  return { language, data, text: textOf(path, data), revision: revisionOf(data) }
}

/** With a byte order mark, if there is one: it is written again. */
function textOf(path: string, data: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data)
  } catch (cause) {
    throw new ToolRefused(`${path} is not UTF-8 text.`, { cause })
  }
}

/** Changes with every byte of the file; 64 bits are enough against accidents. */
function revisionOf(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16)
}

function listed(outline: CodeOutline, within: string | undefined): string[] {
  const symbols = outline.symbols.filter(
    ({ path, container }) =>
      within === undefined ||
      path === within ||
      container === within ||
      container.startsWith(`${within}.`),
  )
  if (within !== undefined && symbols.length === 0)
    throw new ToolRefused(`There is no symbol ${within}.`)
  const lines = symbols
    .slice(0, listedMax)
    .map(
      ({ kind, path, startLine, endLine, signature }) =>
        `${startLine}-${endLine} ${kind} ${shown(path)}: ${signature}`,
    )
  const more = symbols.length - lines.length
  return [
    ...(lines.length === 0 ? ['[nothing is declared]'] : lines),
    ...(more > 0 ? [`[${more} more symbols; ask with \`within\`]`] : []),
    ...(outline.brokenLines.length > 0 ? [brokenNote(outline).trim()] : []),
  ]
}

/** A string key may have any character. */
function shown(path: string): string {
  return path.replace(/\s/g, ' ')
}

/** Line numbers that one sentence names. */
const linesMax = 20

function linesOf(lines: readonly number[]): string {
  const more = lines.length > linesMax ? ` and ${lines.length - linesMax} more` : ''
  return `${lines.length === 1 ? 'line' : 'lines'} ${lines.slice(0, linesMax).join(', ')}${more}`
}

function brokenNote({ brokenLines }: CodeOutline): string {
  return brokenLines.length === 0 ? '' : ` [does not parse, as before: ${linesOf(brokenLines)}]`
}
