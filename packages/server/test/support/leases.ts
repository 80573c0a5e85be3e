/**
 * What time does to the leases of workers that are gone, as a statement: they lapse, and the next look
 * for work finds them so. How long that takes is shown with a real one (e2e/nodes).
 */
export const lapse =
  "update pgboss.job set heartbeat_on = now() - interval '1 minute' where state = 'active'"
