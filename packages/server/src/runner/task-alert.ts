import type { EventWriter } from '../events/writer.ts'
import type { Metrics } from '../metrics.ts'

/** What a watchdog of one task noticed; docs/alerts.md has a row for each. */
type TaskAlertName = 'agent_silent' | 'model_silent' | 'command_hung' | 'clock_jumped'

/** As it stands in the log of its session. */
export function taskAlert(name: TaskAlertName, message: string) {
  return { type: 'task.alert', name, message } as const
}

/** Writes it down and counts it. */
export function raise(
  { writer, metrics }: { readonly writer: EventWriter; readonly metrics: Metrics },
  alert: ReturnType<typeof taskAlert>,
): void {
  metrics.taskAlerts.inc({ name: alert.name })
  // A writer that lost its lease has told `onLost`, which stops this attempt.
  writer.write(alert).catch(() => undefined)
}
