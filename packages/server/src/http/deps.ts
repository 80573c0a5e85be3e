import type { OrderPolicy, TaskOrder } from '@longhaul/client/contract'
import type { Caller } from '../caller.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Store } from '../store/open.ts'
import type { TaskRow, Trx } from '../store/tables.ts'
import type { App } from './env.ts'

/** What the routes work with. */
export interface AppDeps {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  /** The server's version, for `/health` and the OpenAPI document. */
  readonly version: string
  readonly tasks: {
    /** Which orders this server takes, beyond their form. */
    readonly policy: OrderPolicy
    readonly create: (trx: Trx, order: TaskOrder, caller: Caller) => Promise<TaskRow>
    /** The task as it is now, unchanged if it had ended; undefined: there is none. */
    readonly cancel: (id: string, caller: Caller) => Promise<TaskRow | undefined>
  }
  readonly health: {
    readonly queueReady: () => boolean
    /** What the sandbox driver's last probe said. */
    readonly sandbox: () => {
      readonly driver: string
      readonly ok: boolean
      readonly isolation: 'namespaces' | 'none'
      readonly problem: string | null
      readonly warnings: readonly string[]
    }
    readonly modelConfigured: boolean
  }
  /** Routes of other rooms, mounted behind authentication and with the same errors. */
  readonly mount?: (app: App) => void
}
