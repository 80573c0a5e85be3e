/**
 * What a key may do: read, or order and cancel, or say how a repository's tasks are done and by which
 * agents, or what sandboxes may reach and take, or read the audit, or everything that is there now and later.
 */
export const scopes = [
  'tasks:read',
  'tasks:write',
  'repositories:write',
  'agents:write',
  'environments:write',
  'audit:read',
  '*',
] as const
export type Scope = (typeof scopes)[number]

/** The scope that a request needs; reading and writing do not imply each other. */
export function scopeOf({ method, path }: { method: string; path: string }): Scope {
  if (/^\/v1\/audit(\/|$)/.test(path)) return 'audit:read'
  if (method === 'GET' || method === 'HEAD') return 'tasks:read'
  if (/^\/v1\/repositories(\/|$)/.test(path)) return 'repositories:write'
  if (/^\/v1\/environments(\/|$)/.test(path)) return 'environments:write'
  return /^\/v1\/agents(\/|$)/.test(path) ? 'agents:write' : 'tasks:write'
}

/** Whether a key with these scopes, as its row holds them, may do what needs `needed`. */
export function allows(held: readonly string[], needed: Scope): boolean {
  return held.includes('*') || held.includes(needed)
}
