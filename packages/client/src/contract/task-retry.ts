import { z } from 'zod'
import type { TaskOrder } from './orders.ts'

/** The body of `POST /v1/tasks/{id}/retry`. It is judged as a part of the order that it edits. */
export const taskRetry = z.record(z.string(), z.unknown()).meta({
  id: 'TaskRetry',
  description:
    'Fields of TaskCreate that replace those of the order, each as a whole; null takes one away. Empty: the same order.',
})

/**
 * An order as the body of `POST /v1/tasks` that would give it again, with `edits` in place. What the
 * settings of its repository filled is left out, so that the present ones count, and so is its start
 * time, which has been. The agent stays the very version, unless the type is edited. Nothing of it is validated: whoever orders it does that.
 */
export function editedOrder(order: TaskOrder, edits: Readonly<Record<string, unknown>>): object {
  const {
    commit: _,
    fromRepository = [],
    startAt: __,
    pullRequest = {},
    agent,
    environment,
    environmentGiven,
    ...fields
  } = order
  const options = given(pullRequest, (name) => fromRepository.includes(`pullRequest.${name}`))
  const body = {
    ...given(fields, (name) => fromRepository.includes(name)),
    ...(Object.keys(options).length > 0 && { pull_request: options }),
    // The agent that a type brings is not that of another type.
    ...(agent && (edits['type'] ?? order.type) === order.type && { agent }),
    ...(environment && environmentGiven === true && { environment }),
    ...edits,
  }
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
}

/** The fields that are not `filled`, by their names in `/v1`. */
function given(fields: object, isFilled: (name: string) => boolean): object {
  const own = Object.entries(fields).filter(([name]) => !isFilled(name))
  return Object.fromEntries(own.map(([name, value]) => [inSnakeCase(name), value]))
}

function inSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
