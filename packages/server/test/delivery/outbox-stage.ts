/** A real app with endpoints, a receiver, senders with a clock of the test's, and steps of tasks. */
import assert from 'node:assert/strict'
import type { Delivery, DeliveryWithTries, Endpoint } from '@longhaul/client/contract'
import type { HostPort } from '../../src/config.ts'
import { DeliverySender, type DeliverySenderOptions } from '../../src/delivery/sender.ts'
import { createLog } from '../../src/log.ts'
import type { TaskState } from '../../src/tasks/machine.ts'
import { moveTask } from '../../src/tasks/transition.ts'
import { openTestApp, type TestApp } from '../http/fixture.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { openReceiver, type Receiver } from '../support/receiver.ts'
import { until } from '../support/until.ts'

/** Of callbacks. */
export const callbackSecret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

export interface OutboxStage extends AsyncDisposable {
  readonly server: TestApp
  readonly receiver: Receiver
  readonly clock: ManualClock
  /** The receiver, as a list of the operator's names it. */
  readonly local: HostPort
  ask<T>(status: number, method: string, path: string, o?: Asked): Promise<T>
  /** Makes an endpoint at a path of the receiver. */
  endpoint(o?: { path?: string; key?: string; [field: string]: unknown }): Promise<Made>
  /** A sender that has begun. */
  sender(o?: Partial<DeliverySenderOptions>): DeliverySender
  /** A step of a task, as its attempt takes it. */
  step(taskId: string, to: TaskState): Promise<void>
  /** The only delivery of an endpoint about an event, once it fits. */
  delivery(
    endpoint: Made,
    event: string,
    fits: (one: Delivery) => boolean,
  ): Promise<DeliveryWithTries>
  /** As it was at first: no endpoint, and a receiver that has heard nothing and answers 200. */
  clear(): Promise<void>
}

interface Asked {
  readonly body?: object
  readonly key?: string
}

export type Made = Endpoint & { readonly secret: string }

export async function openStage(): Promise<OutboxStage> {
  await using opened = new AsyncDisposableStack()
  const receiver = opened.use(await openReceiver())
  const local = { host: '127.0.0.1', port: receiver.port }
  const clock = new ManualClock()
  const server = opened.use(await openTestApp({ clock, callbackAllow: [local] }))
  const { store, metrics } = server
  const closing = opened.move()

  async function ask<T>(status: number, method: string, path: string, o: Asked = {}): Promise<T> {
    const headers = o.key === undefined ? {} : { authorization: `Bearer ${o.key}` }
    const answer = await server.send(method, path, { headers, ...(o.body && { body: o.body }) })
    const text = await answer.text()
    assert.equal(answer.status, status, text)
    return JSON.parse(text) as T
  }

  return {
    ...{ server, receiver, clock, local, ask },
    endpoint({ path = '/', key, ...body } = {}) {
      const url = `http://127.0.0.1:${receiver.port}${path}`
      return ask(201, 'POST', '/v1/endpoints', {
        body: { url, ...body },
        ...(key !== undefined && { key }),
      })
    },
    sender(o = {}) {
      const log = createLog('silent')
      const given = { store, clock, log, metrics, secrets: [callbackSecret], allow: [local] }
      const sender = new DeliverySender({ ...given, ...o })
      sender.start()
      return sender
    },
    step: (taskId, to) =>
      store.db.transaction().execute(async (trx) => {
        await moveTask(trx, { taskId, to, clock })
      }),
    async delivery(endpoint, event, fits) {
      let found: Delivery | undefined
      await until(`the delivery of ${event}`, async () => {
        const path = `/v1/endpoints/${endpoint.id}/deliveries?limit=100`
        const { data } = await ask<{ data: Delivery[] }>(200, 'GET', path)
        const all = data.filter((one) => one.event === event)
        assert.ok(all.length <= 1, 'there is one')
        found = all.find(fits)
        return found !== undefined
      })
      return ask(200, 'GET', `/v1/deliveries/${found?.id}`)
    },
    async clear() {
      const { data } = await ask<{ data: Made[] }>(200, 'GET', '/v1/endpoints?limit=100')
      for (const { id } of data) await ask(200, 'DELETE', `/v1/endpoints/${id}`)
      receiver.received.length = 0
      receiver.answer = () => ({ status: 200 })
    },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}

/** The steps of a task that waits once and is done. */
export const steps = {
  started: { status: 'running', reason: 'preparing' },
  waiting: { status: 'running', reason: 'waiting_quota' },
  publishing: { status: 'running', reason: 'publishing' },
  done: { status: 'completed', reason: 'done' },
} as const satisfies Record<string, TaskState>
