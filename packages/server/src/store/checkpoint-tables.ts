import type { Generated, Selectable } from 'kysely'

export interface Checkpoints {
  id: string
  session_id: string
  attempt: number
  /** Made by `workspace/checkpoint.ts`; null: the workspace is as it was cloned. */
  commit: string | null
  /** Number of the last event before it was taken. */
  seq: number
  bytes: Generated<number>
  /** Whether all of it is there; one of a session is. */
  is_whole: Generated<boolean>
  created_at: Date
}

export interface CheckpointChunks {
  checkpoint_id: string
  n: number
  data: Buffer
}

export type CheckpointRow = Selectable<Checkpoints>
