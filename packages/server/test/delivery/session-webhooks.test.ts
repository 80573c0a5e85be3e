import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { until } from '../support/until.ts'
import { openStage } from './outbox-stage.ts'

test('an endpoint that names them is told a session’s states in the form of the Managed Agents API', async () => {
  await using stage = await openStage()
  const { received } = stage.receiver
  const events = ['session.status_idled', 'session.status_terminated', 'task.failed']
  const endpoint = await stage.endpoint({ events })
  await stage.endpoint({ path: '/tasks', events: null })
  const { id, session_id: session } = await stage.server.order()
  await stage.ask(200, 'POST', `/v1/tasks/${id}/cancel`)
  await using _sender = stage.sender()
  await until('three calls', () => received.length === 3)
  const told = received.filter(({ path }) => path === '/')
  assert.equal(told.length, 2)
  const { beta } = new Anthropic({ apiKey: 'none' })
  const [state, end] = told
  const got = beta.webhooks.unwrap(state?.body ?? '', {
    headers: { ...state?.headers },
    key: endpoint.secret,
  })
  assert.match(got.id, /^sevt_/)
  assert.equal(got.type, 'event')
  assert.deepEqual(got.data, {
    ...{ type: 'session.status_terminated', id: session },
    ...{ organization_id: 'longhaul', workspace_id: 'default' },
  })
  assert.equal(JSON.parse(end?.body ?? '').type, 'task.failed')
})
