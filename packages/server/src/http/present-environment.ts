import type { Environment } from '@longhaul/client/contract'
import type { EnvironmentRow } from '../store/environments.ts'

/** An environment of a version, in the form of `/v1`. */
export function presentEnvironment(row: EnvironmentRow): Environment {
  const { content } = row
  return {
    type: 'environment',
    id: row.id,
    version: row.version,
    ...content,
    is_default: row.is_default,
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
  }
}
