import { z } from 'zod'
import { defineTool, type Tool, ToolRefused } from '../tool.ts'

/** Searches the files of the workspace. Throws `ToolRefused` with ripgrep's own words. */
export type SearchCode = (search: CodeSearch, signal: AbortSignal) => Promise<FoundCode>

interface CodeSearch {
  readonly pattern: string
  readonly isRegex: boolean
  readonly ignoreCase: boolean
  readonly globs: readonly string[]
  readonly contextLines: number
  readonly matchesMax: number
}

interface FoundCode {
  readonly lines: readonly {
    readonly path: string
    readonly line: number
    readonly text: string
    readonly isMatch: boolean
  }[]
  readonly isCut: boolean
}

const patternCharsMax = 1000
const globCharsMax = 500
const globsMax = 20
const contextMax = 10
const resultsMax = 500
const resultsDefault = 100
/** Characters of an answer: what is beyond the frame's own bound would be cut within a line. */
const shownCharsMax = 36_000

const oneLine = /^[^\0\r\n]*$/

/** The search through the workspace's files. */
export function searchTool(search: SearchCode): Tool {
  return defineTool({
    name: 'code_search',
    description:
      "Searches the workspace's files with ripgrep, line by line. Skipped: what .gitignore and " +
      '.ignore name, .git, binary and very large files. Symbolic links are not followed.',
    input: {
      pattern: z
        .string()
        .min(1)
        .max(patternCharsMax)
        .regex(oneLine, 'one line is expected')
        .describe('The text to find, or with `regex` a regular expression in ripgrep’s syntax.'),
      regex: z.boolean().default(false).describe('Whether the pattern is a regular expression.'),
      ignore_case: z.boolean().default(false).describe('Whether case does not matter.'),
      globs: z
        .array(z.string().min(1).max(globCharsMax).regex(oneLine, 'one line is expected'))
        .max(globsMax)
        .default([])
        .describe('Only files that match one of them (`*.ts`, `src/**`); none that match a `!…`.'),
      context: z.int().min(0).max(contextMax).default(0).describe('Lines before and after each.'),
      max_results: z.int().min(1).max(resultsMax).default(resultsDefault).describe('Lines found.'),
    },
    readOnly: true,
    async run(given, { signal }) {
      if (!given.pattern.isWellFormed() || !given.globs.every((glob) => glob.isWellFormed()))
        throw new ToolRefused('pattern and globs are well-formed Unicode.')
      return shown(
        await search(
          {
            pattern: given.pattern,
            isRegex: given.regex,
            ignoreCase: given.ignore_case,
            globs: given.globs,
            contextLines: given.context,
            matchesMax: given.max_results,
          },
          signal,
        ),
      )
    },
  })
}

/** File by file; `12:` is a line that matches, `13-` one beside it. */
function shown({ lines, isCut }: FoundCode): string {
  const rows: string[] = []
  let chars = 0
  let path: string | null = null
  let count = 0
  for (const { path: file, line, text, isMatch } of lines) {
    const row = `${line}${isMatch ? ':' : '-'} ${text}`
    const head =
      file === path ? [] : [`${rows.length === 0 ? '' : '\n'}${JSON.stringify(file).slice(1, -1)}`]
    chars += row.length + 1 + (head[0]?.length ?? 0)
    if (chars > shownCharsMax) break
    rows.push(...head, row)
    path = file
    count += 1
  }
  if (rows.length === 0) return 'Nothing found.'
  const isMore = isCut || count < lines.length
  return isMore
    ? `${rows.join('\n')}\n\n[there is more; narrow it down by pattern or globs]`
    : rows.join('\n')
}
