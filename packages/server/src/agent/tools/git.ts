import { isStorable } from '@longhaul/client/contract'
import { z } from 'zod'
import { pathField } from './fs.ts'
import { defineTool, type Tool } from './tool.ts'

/**
 * What the git tools do in the workspace; each answers the text that the agent reads. All throw
 * `ToolRefused`, with git's own words where git refused.
 */
export interface GitFunctions {
  status(signal: AbortSignal): Promise<string>
  log(o: GitLog, signal: AbortSignal): Promise<string>
  diff(o: GitDiff, signal: AbortSignal): Promise<string>
  commit(o: GitCommit, signal: AbortSignal): Promise<string>
  push(signal: AbortSignal): Promise<string>
  /** Of the branch that the task started from, unless another one is named. */
  pull(branch: string | undefined, signal: AbortSignal): Promise<string>
  clone(o: GitClone, signal: AbortSignal): Promise<string>
}

interface GitLog {
  readonly revision: string
  readonly task: boolean
  readonly path?: string | undefined
  readonly limit: number
}

interface GitDiff {
  readonly from: string
  readonly to?: string | undefined
  readonly path?: string | undefined
  readonly summary: boolean
}

interface GitCommit {
  readonly message: string
  readonly paths: readonly string[]
}

interface GitClone {
  readonly url: string
  readonly directory: string
  readonly branch?: string | undefined
  readonly depth: number
}

const revisionCharsMax = 255
const messageCharsMax = 10_000
const pathsMax = 1000
const logMax = 200
const depthMax = 1_000_000
/** What speaks with the git host may wait for it; below the silence that counts as a stall. */
const hostMs = 5 * 60_000

/** The name of a branch as git takes it behind `refs/heads/`. */
const branchField = z
  .string()
  .min(1)
  .max(revisionCharsMax)
  .regex(
    /^(?![-/.])(?!.*(\.\.|@\{|\/\/|\/$|\.lock$))[^\s~^:?*[\\\p{Cc}]+$/u,
    'expected a branch name',
  )

const revisionField = z
  .string()
  .min(1)
  .max(revisionCharsMax)
  .regex(/^[^\p{Cc}]+$/u, 'expected a branch, a tag or a commit')

/** The tools for the workspace's repository, for an agent that may change it, and one that may not. */
export function gitTools(git: GitFunctions): Tool[] {
  return [...lookTools(git), ...changeTools(git), cloneTool(git)]
}

function lookTools(git: GitFunctions): Tool[] {
  return [
    defineTool({
      name: 'git_status',
      description: "Shows the branch and the changed files of the task's repository.",
      input: {},
      readOnly: true,
      run: (_, { signal }) => git.status(signal),
    }),
    defineTool({
      name: 'git_log',
      description: 'Lists commits, the newest first, one a line.',
      input: {
        revision: revisionField
          .default('HEAD')
          .describe('The branch, tag or commit to start from.'),
        task: z
          .boolean()
          .default(false)
          .describe('Only the commits of this task: since the one that it started from.'),
        path: pathField.optional().describe('Only commits that changed this file or directory.'),
        limit: z.int().min(1).max(logMax).default(20).describe('Commits at most.'),
      },
      readOnly: true,
      run: async (o, { signal }) => (await git.log(o, signal)) || 'There are no such commits.',
    }),
    defineTool({
      name: 'git_diff',
      description:
        'Shows a difference as a patch: by default what is not committed yet, without files that ' +
        'are new to git.',
      input: {
        from: revisionField
          .default('HEAD')
          .describe('A branch, a tag, a commit, or `base`: the commit that the task started from.'),
        to: revisionField.optional().describe('As `from`; by default the files as they are now.'),
        path: pathField.optional().describe('Only of this file or directory.'),
        summary: z.boolean().default(false).describe('Only how much changed in which files.'),
      },
      readOnly: true,
      run: async (o, { signal }) => (await git.diff(o, signal)) || 'There is no difference.',
    }),
  ]
}

function changeTools(git: GitFunctions): Tool[] {
  return [
    defineTool({
      name: 'git_commit',
      description:
        'Commits what is in the files, with new and deleted ones, on the branch that is checked ' +
        'out. You need not: what is left uncommitted is committed when you finish.',
      input: {
        message: z
          .string()
          .trim()
          .min(1)
          .max(messageCharsMax)
          .refine(isStorable, 'expected text without NUL and unpaired surrogates')
          .describe('The commit message.'),
        paths: z
          .array(pathField)
          .max(pathsMax)
          .default([])
          .describe('Only these files and directories; by default all.'),
      },
      readOnly: false,
      timeoutMs: hostMs,
      run: (o, { signal }) => git.commit(o, signal),
    }),
    defineTool({
      name: 'git_push',
      description:
        "Pushes the commit that is checked out to the task's own branch on the git host, the only " +
        'one that can be pushed to. You need not: it is done when you finish and the checks pass.',
      input: {},
      readOnly: false,
      timeoutMs: hostMs,
      run: (_, { signal }) => git.push(signal),
    }),
    defineTool({
      name: 'git_pull',
      description:
        'Fetches a branch from the git host and merges it into what is checked out. With ' +
        'conflicts, the files that have them are named: resolve them, then commit.',
      input: {
        branch: branchField
          .optional()
          .describe('By default the branch that the task started from.'),
      },
      readOnly: false,
      timeoutMs: hostMs,
      run: ({ branch }, { signal }) => git.pull(branch, signal),
    }),
  ]
}

function cloneTool(git: GitFunctions): Tool {
  return defineTool({
    name: 'git_clone',
    description:
      'Clones another repository of the same git host, to read it, into a new directory that is no ' +
      "part of this task's commits. Only repositories that the operator allows can be had.",
    input: {
      url: z.string().min(1).max(2048).describe("The repository's URL."),
      directory: pathField.describe('A directory that does not exist yet.'),
      branch: branchField.optional().describe('By default the default branch.'),
      depth: z
        .int()
        .min(0)
        .max(depthMax)
        .default(1)
        .describe('Commits of its history; 0 is all of it.'),
    },
    // Beside the work, not in it.
    readOnly: true,
    timeoutMs: hostMs,
    run: (o, { signal }) => git.clone(o, signal),
  })
}
