/** A request of the model's API as an agent sends it, the way to an upstream, and an answer. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Upstream } from './harness.ts'

export const path = '/anthropic/v1/messages?beta=true'
export const usage = {
  input_tokens: 100,
  output_tokens: 50,
  cache_read_input_tokens: 10,
  cache_creation_input_tokens: 0,
}
export const model = 'claude-opus-5-5'
export const costUsd = (100 * 4 + 50 * 20 + 10 * 0.2) / 1e6

export function bodyOf(extra: object = {}): string {
  const messages = [{ role: 'user', content: 'hello' }]
  return JSON.stringify({ model, max_tokens: 1000, messages, ...extra })
}

export function policyOf(upstream: Upstream, prefix = '') {
  const baseUrl = new URL(`${upstream.url.origin}${prefix}`)
  return { model: { baseUrl, headers: { 'x-api-key': 'real-key-canary' } } }
}

export function answerJson(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'application/json',
    'request-id': 'req_1',
    'set-cookie': 'a=b',
    'anthropic-ratelimit-requests-remaining': '7',
  })
  response.end(JSON.stringify({ model, usage }))
}
