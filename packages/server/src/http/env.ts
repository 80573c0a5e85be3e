import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Caller } from '../caller.ts'

/** What every request carries through the app. */
export interface AppEnv {
  Variables: {
    /** `req_…`, also in the response's header and in the log. */
    requestId: string
    /** Absent on the health routes only. */
    caller: Caller
  }
}

export type App = OpenAPIHono<AppEnv>
