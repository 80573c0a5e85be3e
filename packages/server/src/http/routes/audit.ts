import { createRoute } from '@hono/zod-openapi'
import { type AuditEntry, auditPage, auditQuery, pageDefault } from '@longhaul/client/contract'
import { listAudit } from '../../store/audit.ts'
import type { AuditRow } from '../../store/tables.ts'
import type { AppDeps } from '../deps.ts'
import type { App } from '../env.ts'
import { json, refusalsOf } from '../responses.ts'

const list = createRoute({
  method: 'get',
  path: '/v1/audit',
  operationId: 'listAudit',
  summary: 'List what was decided, oldest first: every way out that a sandbox took or was denied',
  tags: ['audit'],
  request: { query: auditQuery },
  responses: { 200: { description: 'A page.', content: json(auditPage) }, ...refusalsOf() },
})

/** The audit: it outlives the sessions that it is about. */
export function auditRoutes(app: App, { store }: AppDeps): void {
  app.openapi(list, async (c) => {
    const { session_id: sessionId, verdict, page = 0, limit = pageDefault } = c.req.valid('query')
    const rows = await listAudit(store.db, { sessionId, verdict, after: page, limit: limit + 1 })
    const shown = rows.slice(0, limit)
    const next = rows.length > limit ? String(shown.at(-1)?.position) : null
    return c.json({ data: shown.map(presentEntry), next_page: next }, 200)
  })
}

function presentEntry({ position: _, at, entry, ...row }: AuditRow): AuditEntry {
  return { type: 'audit_entry', ...row, at: at.toISOString(), entry: { ...entry } }
}
