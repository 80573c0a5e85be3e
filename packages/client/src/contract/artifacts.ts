import { z } from 'zod'
import { artifactId, pageOf, timestamp } from './common.ts'

/** The name of an artifact: one path segment, without control characters. */
export const artifactName = z
  .string()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them is part of a name.
  .regex(/^[^\x00-\x1f\x7f/\\]{1,255}$/, 'expected the name of an artifact')

/** A file that a task left, without its content. */
export const artifact = z
  .object({
    id: artifactId.describe('Another one when the file is replaced.'),
    name: z.string().describe('Unique among the artifacts of a task.'),
    content_type: z.string(),
    bytes: z.int().nonnegative(),
    attempt: z.int().nonnegative().nullable(),
    created_at: timestamp,
  })
  .meta({ id: 'Artifact' })
export type Artifact = z.infer<typeof artifact>

/** A page of artifacts, the oldest first. */
export const artifactPage = pageOf('ArtifactPage', artifact)
