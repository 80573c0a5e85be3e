import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { agentRoutes } from './agents.ts'
import { approvalRoutes } from './approvals.ts'
import { artifactRoutes } from './artifacts.ts'
import { auditRoutes } from './audit.ts'
import { deliveryRoutes } from './deliveries.ts'
import { diffRoutes } from './diff.ts'
import { endpointRoutes } from './endpoints.ts'
import { environmentRoutes } from './environments.ts'
import { eventRoutes } from './events.ts'
import { healthRoutes } from './health.ts'
import { keyRoutes } from './keys.ts'
import { messageRoutes } from './messages.ts'
import { metricsRoute } from './metrics.ts'
import { repositoryRoutes } from './repositories.ts'
import { scheduleRoutes } from './schedules.ts'
import { sessionRoutes } from './sessions.ts'
import { taskRetryRoute } from './task-retry.ts'
import { taskRoutes } from './tasks.ts'
import { transcriptRoutes } from './transcript.ts'
import { workerRoutes } from './workers.ts'
import { workflowRoutes } from './workflows.ts'

/** Every route of this room, in the order of the OpenAPI document. */
export function mountRoutes(app: App, deps: AppDeps): void {
  workflowRoutes(app, deps)
  taskRoutes(app, deps)
  messageRoutes(app, deps)
  approvalRoutes(app, deps)
  agentRoutes(app, deps)
  environmentRoutes(app, deps)
  taskRetryRoute(app, deps)
  repositoryRoutes(app, deps)
  scheduleRoutes(app, deps)
  artifactRoutes(app, deps)
  diffRoutes(app, deps)
  transcriptRoutes(app, deps)
  sessionRoutes(app, deps)
  eventRoutes(app, deps)
  endpointRoutes(app, deps)
  deliveryRoutes(app, deps)
  auditRoutes(app, deps)
  keyRoutes(app, deps)
  workerRoutes(app, deps)
  healthRoutes(app, deps)
  metricsRoute(app, deps)
}
