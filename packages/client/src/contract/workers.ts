import { z } from 'zod'
import { pageOf, timestamp, workerId } from './common.ts'

/**
 * How a worker is. `draining`: it takes nothing new, and some of what it had still runs. `drained`:
 * nothing runs any more, and it may be stopped. `lost`: it has not been heard of for longer than a lease
 * lives, so its work is claimed elsewhere.
 */
const workerStatus = z.enum(['working', 'draining', 'drained', 'lost'])

/** A process that works on tasks, as it announced itself. */
export const worker = z
  .object({
    type: z.literal('worker'),
    id: workerId,
    status: workerStatus,
    host: z.string().describe('The name of its machine.'),
    version: z.string().describe('Of the server.'),
    labels: z.array(z.string()).describe('Its `WORKER_LABELS`.'),
    slots: z.int().describe('Tasks that it runs at once: its `TASK_CONCURRENCY`.'),
    running: z.int().describe('Tasks that it ran when it was last heard of.'),
    started_at: timestamp,
    last_seen_at: timestamp,
    draining_since: timestamp.nullable(),
    held: z
      .enum(['disk', 'memory'])
      .nullable()
      .describe(
        'What its machine has too little of, so that it begins nothing new; null: it does.',
      ),
  })
  .meta({ id: 'Worker' })
export type Worker = z.infer<typeof worker>

/** The workers that are, and for an hour those that were lost: all of them on one page, newest first. */
export const workerPage = pageOf('WorkerPage', worker)

/** `POST /v1/workers/{id}/drain`. */
export const workerDrain = z
  .strictObject({
    hand_back: z
      .boolean()
      .default(false)
      .describe(
        'Hands back what runs, for others to go on with at once, instead of running it to its end.',
      ),
  })
  .meta({ id: 'WorkerDrain' })
