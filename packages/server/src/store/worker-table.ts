import type { ColumnType, Generated, Selectable } from 'kysely'

/** What a node is short of: it begins nothing new until there is more. */
export type Held = 'disk' | 'memory'

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
  /** What it begins nothing new for; null: it does. */
  held: ColumnType<Held | null, Held | null | undefined, Held | null>
}

export type WorkerRow = Selectable<Workers>
