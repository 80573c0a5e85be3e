/**
 * A whole MCP server on standard input and output, one JSON-RPC message a line, without a
 * dependency: it is started inside the sandbox, where there is nothing to install.
 */
import { createInterface } from 'node:readline'

const glossary = {
  lease: 'The right to work on something for a while; whoever holds it must renew it.',
  outbox: 'Messages that are stored with what they tell, and sent afterwards.',
}

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'glossary', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({
    tools: [
      {
        name: 'define',
        description: "What a word means in the team's documents.",
        inputSchema: {
          type: 'object',
          properties: { word: { type: 'string' } },
          required: ['word'],
        },
      },
    ],
  }),
  'tools/call': ({ arguments: { word } }) => ({
    content: [{ type: 'text', text: glossary[word] ?? `${word} is not in the glossary.` }],
  }),
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params = {} } = JSON.parse(line)
  if (id === undefined) continue
  const found = methods[method]
  const answer = found
    ? { result: found(params) }
    : { error: { code: -32601, message: `no method ${method}` } }
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`)
}
