import type { GatewayHooks } from '../gateway/policy.ts'
import type { AuditWriter } from '../store/audit-writer.ts'

/** Makes an audit entry of whatever a gateway decides, for a session or (a mirror's) for none. */
export function auditedBy(
  audit: AuditWriter,
  sessionId: string | null,
): Pick<GatewayHooks, 'onDecision' | 'isAuditBehind'> {
  return {
    isAuditBehind: () => audit.isBehind,
    onDecision: ({ route, host, port, verdict, why, details, sums, count }) =>
      audit.append({
        sessionId,
        kind: 'gateway',
        entry: {
          bytes_in: 0,
          bytes_out: 0,
          ...sums,
          ...details,
          route,
          host,
          port,
          verdict,
          why,
          count,
        },
      }),
  }
}
