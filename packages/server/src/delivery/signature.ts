import { Webhook } from 'standardwebhooks'
import type { DeliveryRow, EndpointRow } from '../store/tables.ts'

/** What signs for an endpoint now: its secret, and for a day after a rotation the one before. */
export function secretsOf(endpoint: EndpointRow, now: number): string[] {
  const { secret, previous_secret: previous, previous_secret_until: until } = endpoint
  const isValid = previous !== null && until !== null && until.getTime() > now
  return isValid ? [secret, previous] : [secret]
}

/** The headers of one try, as Standard Webhooks has them: one signature a secret. */
export function signedHeaders(
  { id, body }: Pick<DeliveryRow, 'id' | 'body'>,
  o: { readonly secrets: readonly string[]; readonly now: number },
): Record<string, string> {
  const now = new Date(o.now)
  return {
    'content-type': 'application/json',
    'user-agent': 'longhaul',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(o.now / 1000)),
    'webhook-signature': o.secrets
      .map((secret) => new Webhook(secret).sign(id, now, body))
      .join(' '),
  }
}
