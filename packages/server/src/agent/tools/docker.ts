import { z } from 'zod'
import { defineTool, type Tool, ToolRefused } from './tool.ts'

/** What the Docker tools do; the engine is the operator's. */
export interface DockerFunctions {
  build(
    o: Limits & { readonly name: string; readonly context: string; readonly dockerfile: string },
  ): Promise<Outcome>
  run(o: Limits & { readonly name: string; readonly command: readonly string[] }): Promise<Outcome>
  remove(o: { readonly name: string; readonly signal: AbortSignal }): Promise<Outcome>
}

interface Limits {
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

interface Outcome {
  readonly ok: boolean
  readonly text: string
}

/** A build or a container may take this long. */
const secondsMax = 1800
/** Its own end, with what it printed, comes before that of the call. */
const endMsMax = 60_000

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, 'expected lower-case letters, digits, _ . -')
  .describe('A name of your own for the image, unique in this task.')

const timeoutSeconds = (fallback: number) =>
  z.int().min(1).max(secondsMax).default(fallback).describe('Seconds that it may take.')

/** The tools for images of the workspace. Without `functions` there are none. */
export function dockerTools(functions: DockerFunctions | null): Tool[] {
  if (functions === null) return []
  return [
    defineTool({
      name: 'docker_build',
      description:
        'Builds an image from files of the workspace. No step has a network: what an image needs ' +
        'must be in its base image or in the files. FROM takes only the images that the operator ' +
        'allows; ADD, ONBUILD, options of RUN and other images in COPY --from are not taken. ' +
        'Links are left out.',
      input: {
        name,
        context: z.string().min(1).max(1000).default('.').describe('Directory of the files.'),
        dockerfile: z
          .string()
          .min(1)
          .max(1000)
          .default('Dockerfile')
          .describe("The Dockerfile's path, from the workspace's root."),
        timeout_seconds: timeoutSeconds(600),
      },
      readOnly: false,
      timeoutMs: secondsMax * 1000 + endMsMax,
      run: async ({ timeout_seconds, ...o }, { signal }) =>
        said(await functions.build({ ...o, timeoutMs: timeout_seconds * 1000, signal })),
    }),
    defineTool({
      name: 'docker_run',
      description:
        'Runs a container of an image that you built, to its end, and removes it: no network, no ' +
        'files of the workspace but those in the image, 1 GiB of memory, one CPU, 256 processes.',
      input: {
        name,
        command: z
          .array(z.string().max(4096))
          .max(64)
          .default([])
          .describe("Program and arguments; default: the image's own."),
        timeout_seconds: timeoutSeconds(300),
      },
      readOnly: false,
      timeoutMs: secondsMax * 1000 + endMsMax,
      run: async ({ timeout_seconds, ...o }, { signal }) =>
        said(await functions.run({ ...o, timeoutMs: timeout_seconds * 1000, signal })),
    }),
    defineTool({
      name: 'docker_remove',
      description: 'Removes an image that you built. At the end all of them are removed.',
      input: { name },
      readOnly: false,
      run: async (o, { signal }) => said(await functions.remove({ ...o, signal })),
    }),
  ]
}

function said({ ok, text }: Outcome): string {
  if (!ok) throw new ToolRefused(text)
  return text
}
