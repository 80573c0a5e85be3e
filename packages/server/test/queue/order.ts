import type { TaskOrder } from '@longhaul/client/contract'

/** An order that nobody carries out: its task is moved by hand. */
export const order: TaskOrder = {
  type: 'custom',
  repoUrl: 'https://github.com/acme/sum',
  instructions: 'Mend the sum.',
  priority: 'medium',
  timeLimitMinutes: 60,
}
