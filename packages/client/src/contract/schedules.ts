import { z } from 'zod'
import { keyId, pageOf, scheduleId, taskId, text, timestamp } from './common.ts'

const nameCharsMax = 128
const cronCharsMax = 200
const jitterSecondsMax = 3600
/** Times ahead that a schedule shows. */
export const nextFiresShown = 5

const cron = z
  .string()
  .min(1)
  .max(cronCharsMax)
  .describe('Minute, hour, day of the month, month, day of the week; or @hourly, @daily, …')
  .meta({ example: '0 6 * * MON-FRI' })

const timeZone = z
  .string()
  .min(1)
  .max(64)
  .describe('A name of the IANA time zone database.')
  .meta({ example: 'Europe/Berlin' })

const overlap = z
  .enum(['skip', 'queue', 'cancel_previous'])
  .describe(
    'What happens when a task of it still goes on: no other one; one after it has ended, ten at most; or that one is cancelled.',
  )
export type Overlap = z.infer<typeof overlap>

const catchUp = z
  .enum(['none', 'last', 'all'])
  .describe(
    'What happens to times that passed while no server ran: nothing; one task for the latest of them; or one for each, the latest hundred at most.',
  )
export type CatchUp = z.infer<typeof catchUp>

const order = z
  .record(z.string(), z.unknown())
  .describe('The body of `POST /v1/tasks`, without `start_at`; it is judged again at each time.')

const jitterSeconds = z
  .int()
  .min(0)
  .max(jitterSecondsMax)
  .describe('Each time is delayed by a part of this, another one each time.')

/** `POST /v1/schedules`. */
export const scheduleCreate = z
  .strictObject({
    name: text(nameCharsMax),
    cron,
    time_zone: timeZone.default('UTC'),
    order,
    overlap: overlap.default('skip'),
    catch_up: catchUp.default('last'),
    jitter_seconds: jitterSeconds.default(0),
    paused: z.boolean().default(false),
  })
  .meta({ id: 'ScheduleCreate' })
export type ScheduleContent = z.output<typeof scheduleCreate>

/** `POST /v1/schedules/{id}`: an absent field stays. */
export const scheduleUpdate = z
  .strictObject({
    name: text(nameCharsMax).optional(),
    cron: cron.optional(),
    time_zone: timeZone.optional(),
    order: order.optional(),
    overlap: overlap.optional(),
    catch_up: catchUp.optional(),
    jitter_seconds: jitterSeconds.optional(),
    paused: z.boolean().optional(),
  })
  .meta({ id: 'ScheduleUpdate' })
export type SchedulePatch = z.output<typeof scheduleUpdate>

/** A schedule as `/v1` shows it. */
export const schedule = z
  .object({
    type: z.literal('schedule'),
    id: scheduleId,
    name: z.string(),
    cron: z.string(),
    time_zone: z.string(),
    order: z.record(z.string(), z.unknown()),
    overlap,
    catch_up: catchUp,
    jitter_seconds: z.int(),
    paused: z.boolean(),
    next_fires: z
      .array(timestamp)
      .describe('The next five times, without their jitter; none while it is paused.'),
    created_by: keyId
      .nullable()
      .describe('The key whose tasks they are: the one that wrote the order last.'),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: 'Schedule' })
export type Schedule = z.infer<typeof schedule>

export const schedulePage = pageOf('SchedulePage', schedule)

/** What is left of a schedule that was deleted. */
export const scheduleDeleted = z
  .object({ id: scheduleId, type: z.literal('schedule_deleted') })
  .meta({ id: 'ScheduleDeleted' })

const fireState = z.enum(['ordered', 'waiting', 'skipped', 'missed', 'refused'])
export type FireState = z.infer<typeof fireState>

/** One time of a schedule, and what came of it. */
export const scheduleFire = z
  .object({
    type: z.literal('schedule_fire'),
    scheduled_at: timestamp.describe('Without its jitter.'),
    fired_at: timestamp,
    is_manual: z.boolean().describe('Somebody said so: it is no time of the schedule.'),
    state: fireState.describe(
      '`ordered`: a task; `waiting`: for the end of the one before; `skipped`: because of that; `missed`: nobody was there; `refused`: the order is not taken any more.',
    ),
    message: z.string().nullable(),
    task_id: taskId.nullable().describe('Null too when the task was deleted.'),
  })
  .meta({ id: 'ScheduleFire' })
export type ScheduleFire = z.infer<typeof scheduleFire>

/** The history of a schedule, newest first; its latest thousand times are kept. */
export const scheduleFirePage = pageOf('ScheduleFirePage', scheduleFire)
