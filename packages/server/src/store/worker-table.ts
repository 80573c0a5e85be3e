import type { ColumnType, Generated, Selectable } from 'kysely'

/** A process that works on tasks, as it announced itself. */
export interface Workers {
  id: string
  /** Its data directory's. */
  node: string
  host: string
  version: string
  labels: string[]
  slots: number
  running: number
  started_at: Date
  seen_at: Date
  draining_at: ColumnType<Date | null, Date | null | undefined, Date | null>
  /** What runs is to be handed back. */
  hand_back: Generated<boolean>
}

export type WorkerRow = Selectable<Workers>
