import { OpenAPIHono } from '@hono/zod-openapi'
import { authenticate } from './authenticate.ts'
import { jsonBody } from './body.ts'
import type { AppDeps, ProbeDeps } from './deps.ts'
import type { App, AppEnv } from './env.ts'
import { errorResponse, isUnexpected } from './errors.ts'
import { missingRoute } from './not-found.ts'
import { openApiRoute } from './openapi.ts'
import { requestLog } from './request-log.ts'
import { healthRoutes } from './routes/health.ts'
import { metricsRoute } from './routes/metrics.ts'
import { mountRoutes } from './routes/mount.ts'
import { refuseInvalid } from './validate.ts'

/**
 * The whole HTTP surface as one function from request to response. In order: an id and a log line,
 * the key, the body, the route's own validation, the route.
 */
export function createApp(deps: AppDeps): App {
  const app = emptyApp(deps)
  mountRoutes(app, deps)
  openApiRoute(app, deps.version)
  deps.mount?.(app)
  return app
}

/** What a worker without an API answers: how it is, and its metrics. */
export function createProbeApp(deps: ProbeDeps): App {
  const app = emptyApp(deps)
  healthRoutes(app, deps)
  metricsRoute(app, deps)
  return app
}

function emptyApp(deps: ProbeDeps): App {
  const app: App = new OpenAPIHono<AppEnv>({ defaultHook: refuseInvalid(deps.scrubber) })
  app.onError((error, c) => {
    if (isUnexpected(error))
      deps.log.error({ err: error, request_id: c.get('requestId') }, 'failed')
    return errorResponse(c, error, deps.scrubber)
  })
  app.notFound((c) => errorResponse(c, missingRoute(app, c, deps.scrubber), deps.scrubber))
  app.use(requestLog(deps), authenticate(deps), jsonBody())
  return app
}
