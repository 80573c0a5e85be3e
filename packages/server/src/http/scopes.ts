import type { Scope } from '@longhaul/client/contract'

/** The scope that a request needs; reading and writing do not imply each other. */
export function scopeOf({ method, path }: { method: string; path: string }): Scope {
  if (/^\/v1\/audit(\/|$)/.test(path)) return 'audit:read'
  if (/^\/v1\/keys(\/|$)/.test(path)) return 'keys:write'
  if (method === 'GET' || method === 'HEAD') return 'tasks:read'
  if (/^\/v1\/repositories(\/|$)/.test(path)) return 'repositories:write'
  if (/^\/v1\/environments(\/|$)/.test(path)) return 'environments:write'
  if (/^\/v1\/workers(\/|$)/.test(path)) return 'workers:write'
  return /^\/v1\/agents(\/|$)/.test(path) ? 'agents:write' : 'tasks:write'
}

/** Whether a key with these scopes, as its row holds them, may do what needs `needed`. */
export function allows(held: readonly string[], needed: Scope): boolean {
  return held.includes('*') || held.includes(needed)
}

/** Whether a key with these scopes sees what belongs to other keys. */
export function seesAll(held: readonly string[]): boolean {
  return held.includes('*')
}
