/** Every way on which a gateway adds a credential, to an upstream that stands for all of them. */
import { secretMethods } from '../../src/credentials-file/credentials.ts'
import { fixedCredential } from '../../src/gateway/credential.ts'
import { Scrubber } from '../../src/scrub/scrubber.ts'
import { authority } from '../support/tls.ts'
import { pushBody } from './git-stage.ts'
import type { startGateway } from './harness.ts'

const message = { model: 'claude-opus-5-5', max_tokens: 16, messages: [] }
const json = { 'content-type': 'application/json' }

/** A request on one of them. */
interface Way {
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body: string
}

export const ways: Readonly<Record<string, Way>> = {
  'a model request': { path: '/anthropic/v1/messages', headers: json, body: text(message) },
  'a count of tokens': {
    path: '/anthropic/v1/messages/count_tokens',
    headers: json,
    body: text({ model: message.model, messages: [] }),
  },
  'a push': { path: '/git/acme/app/git-receive-pack', body: pushBody('refs/heads/agent/x') },
  'a comment': {
    path: '/repos/acme/app/issues/1/comments',
    headers: { ...json, host: 'api.github.com' },
    body: text({ body: 'Mended.' }),
  },
  'a request with a bound secret': { path: '/secret/STRIPE/v1/charges', body: 'a=1' },
  'a call of an MCP server': { path: '/mcp/tickets', headers: json, body: '{}' },
}

/** Its upstream speaks TLS. */
export function isBound({ path }: Way): boolean {
  return path.startsWith('/secret/')
}

/** What a gateway is opened with, so that each of the ways leads to this upstream. */
export function leadingTo(
  url: string | URL,
): Pick<Parameters<typeof startGateway>[0] & {}, 'policy' | 'lookup' | 'mayComment'> {
  const { origin, hostname: host, port } = new URL(url)
  return {
    policy: {
      model: { baseUrl: new URL(origin), headers: { 'x-api-key': 'key' } },
      git: {
        ...{ origin, path: '/acme/app', credential: fixedCredential('token') },
        pushRefs: ['refs/heads/agent/x'],
      },
      github: {
        ...{ apiUrl: new URL(origin), owner: 'acme', repo: 'app', graphql: false },
        ...{ scrubber: new Scrubber([]), credential: fixedCredential('token') },
      },
      mcp: [{ name: 'tickets', url: new URL(origin), headers: {}, secretHeaders: {}, secrets: [] }],
      secrets: [
        {
          ...{ name: 'STRIPE', host: 'localhost', port: Number(port), value: 'secret', prefix: '' },
          ...{ header: 'x-api-key', ca: authority, repositories: ['acme/app'], paths: ['/'] },
          methods: secretMethods,
        },
      ],
      allowPrivate: [host, 'localhost'].map((each) => ({ host: each, port: Number(port) })),
    },
    lookup: async () => [{ address: '127.0.0.1', family: 4 }],
    mayComment: async () => null,
  }
}

function text(value: unknown): string {
  return JSON.stringify(value)
}
