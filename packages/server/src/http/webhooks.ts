import { webhookHeaders, webhooks } from '@longhaul/client/contract'
import type { App } from './env.ts'
import { json } from './responses.ts'

/** Describes what is posted to endpoints in the OpenAPI document, next to what is asked of the server. */
export function describeWebhooks(app: App): void {
  for (const { event, when, body } of webhooks)
    app.openAPIRegistry.registerWebhook({
      ...{ method: 'post', path: event, tags: ['webhooks'], security: [] },
      summary: when,
      request: { headers: webhookHeaders, body: { required: true, content: json(body) } },
      responses: {
        '2XX': { description: 'It has arrived.' },
        410: { description: 'Nothing more is wanted: the endpoint is disabled.' },
        default: {
          description: 'It is tried again; redirects are not followed. Answer within 15 s.',
        },
      },
    })
}
