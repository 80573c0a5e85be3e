import type { App } from './env.ts'
import { describeWebhooks } from './webhooks.ts'

/**
 * The OpenAPI 3.1 document of an app, made from the schemas that its routes validate with. The
 * served one and docs/openapi.json both come from here.
 */
export function openApiDocument(app: App, version: string) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Longhaul',
      version,
      description: 'Orders work on a repository and follows it to its pull request.',
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: [
      { name: 'workflows', description: 'Tasks in camelCase, for Tier 1.' },
      { name: 'tasks', description: 'Tasks.' },
      { name: 'agents', description: 'Agents and their versions.' },
      { name: 'sessions', description: 'Sessions and their numbered events.' },
      { name: 'health', description: 'How the server is.' },
    ],
  })
}

/** Registers how callers authenticate and what endpoints are told, and serves the document. */
export function openApiRoute(app: App, version: string): void {
  app.openAPIRegistry.registerComponent('securitySchemes', 'bearer', {
    type: 'http',
    scheme: 'bearer',
  })
  app.openAPIRegistry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
  })
  describeWebhooks(app)
  // Made once, on the first request: by then every room has mounted its routes.
  let document: ReturnType<typeof openApiDocument> | undefined
  app.get('/openapi.json', (c) => {
    document ??= openApiDocument(app, version)
    return c.json(document)
  })
}
