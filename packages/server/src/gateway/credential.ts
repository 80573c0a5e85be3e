/**
 * A secret that is added on the way out, asked for each time; null: nothing is added. `refused` is
 * one that was not accepted: another is given if there can be another. Throws GitHubRefused when none
 * can be had, or the signal's reason.
 */
export type Credential = (signal: AbortSignal, refused?: string) => Promise<string | null>

/** One that stays what it is. */
export function fixedCredential(secret: string | null): Credential {
  return async () => secret
}

/**
 * Sends something with a credential; once more with another, if it was refused and there is another
 * now: tokens are revoked, and clocks differ.
 */
export async function withCredential<T>(
  o: {
    readonly credential: Credential
    readonly signal: AbortSignal
    /** Whether the answer refuses the credential; it is thrown away then. */
    readonly isRefused: (answer: T) => boolean
  },
  send: (secret: string | null) => Promise<T>,
): Promise<T> {
  const first = await o.credential(o.signal)
  const answer = await send(first)
  if (first === null || !o.isRefused(answer)) return answer
  const second = await o.credential(o.signal, first)
  return second === null || second === first ? answer : send(second)
}
