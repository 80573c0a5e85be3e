/** What a key may do: read, or order and cancel, or everything that is there now and later. */
export const scopes = ['tasks:read', 'tasks:write', '*'] as const
export type Scope = (typeof scopes)[number]

/** The scope that a request needs, by its method; reading and writing do not imply each other. */
export function scopeOf(method: string): Scope {
  return method === 'GET' || method === 'HEAD' ? 'tasks:read' : 'tasks:write'
}

/** Whether a key with these scopes, as its row holds them, may do what needs `needed`. */
export function allows(held: readonly string[], needed: Scope): boolean {
  return held.includes('*') || held.includes(needed)
}
