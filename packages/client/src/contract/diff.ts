import { z } from 'zod'

const count = z.int().nonnegative()

/** Lines of a file that changed, with three unchanged ones around them. */
const diffHunk = z
  .object({
    old_start: count.describe('The first line in the old file, from 1; 0 where it had none.'),
    old_lines: count,
    new_start: count,
    new_lines: count,
    heading: z.string().describe('What git found the lines to be in: a function, a section.'),
    lines: z
      .array(z.string())
      .describe('Each begins with a space (unchanged), `-`, `+`, or `\\` (no newline at the end).'),
  })
  .meta({ id: 'DiffHunk' })

const base64 = z
  .string()
  .nullable()
  .describe('The exact name in base64 where it is not UTF-8, which JSON cannot hold.')

const diffFile = z
  .object({
    path: z.string(),
    path_base64: base64,
    old_path: z.string().nullable().describe('Of a file that was renamed.'),
    old_path_base64: base64,
    status: z.enum(['added', 'modified', 'deleted', 'renamed', 'type_changed']),
    old_mode: z.string().nullable().describe('As git writes it: 100644, 100755, 120000, 160000.'),
    new_mode: z.string().nullable(),
    additions: count.nullable().describe('Lines; null of a binary file.'),
    deletions: count.nullable(),
    binary: z.boolean(),
    truncated: z.boolean().describe('The hunks are left out: the whole difference is too large.'),
    hunks: z.array(diffHunk),
  })
  .meta({ id: 'DiffFile' })
export type DiffFile = z.infer<typeof diffFile>

/** What a task has changed so far: from the commit that it began with to its newest one. */
export const taskDiff = z
  .object({
    base_commit: z.string(),
    commit: z.string(),
    additions: count.describe('Lines, of the files that are listed.'),
    deletions: count,
    truncated: z.boolean().describe('Files, or hunks of some of them, are left out.'),
    files: z.array(diffFile),
  })
  .meta({ id: 'TaskDiff' })
export type TaskDiff = z.infer<typeof taskDiff>
