/** The tracker of the example, on loopback: a route to open tickets, and an MCP server that lists them. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'

interface Ticket {
  readonly project: string
  readonly title: string
}

/** Opens and lists tickets for whoever has the token; it repeats the token, as careless ones do. */
export async function startTicketTracker(token: string): Promise<Server & { url: string }> {
  const tickets: Ticket[] = []
  const server = createServer(async (request, response) => {
    const text = await readText(request)
    const { status, body } = answerTo({ request, text, tickets, token })
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(body === undefined ? '' : JSON.stringify(body))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return Object.assign(server, { url: `http://127.0.0.1:${port}` })
}

function answerTo(o: {
  readonly request: IncomingMessage
  readonly text: string
  readonly tickets: Ticket[]
  readonly token: string
}): { status: number; body?: object } {
  const { url = '', method, headers } = o.request
  const { authorization } = headers
  if (authorization !== `Bearer ${o.token}`) return { status: 401, body: { error: 'no access' } }
  const [, project] = /^\/api\/projects\/(\w+)\/tickets$/.exec(url) ?? []
  if (project === undefined && url !== '/mcp') return { status: 404, body: { no_such_page: url } }
  if (method !== 'POST') return { status: 405 }
  const message: Message = JSON.parse(o.text)
  if (project !== undefined) {
    o.tickets.push({ project, title: message.title ?? '' })
    return { status: 201, body: { number: o.tickets.length, opened_by: authorization } }
  }
  if (message.id === undefined) return { status: 202 }
  const result = resultOf(message, { tickets: o.tickets, authorization })
  return { status: 200, body: { jsonrpc: '2.0', id: message.id, result } }
}

interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly protocolVersion?: string }
  readonly title?: string
}

/** The MCP server's three methods. */
function resultOf(
  { method, params }: Message,
  { tickets, authorization }: { tickets: readonly Ticket[]; authorization: string },
): object {
  if (method === 'initialize')
    return {
      protocolVersion: params?.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: 'tickets', version: '1.0.0' },
    }
  if (method === 'tools/list')
    return {
      tools: [{ name: 'list', description: 'Every ticket.', inputSchema: { type: 'object' } }],
    }
  const lines = tickets.map(({ project, title }, index) => `${index + 1} ${project}: ${title}`)
  return { content: [{ type: 'text', text: [...lines, `seen by ${authorization}`].join('\n') }] }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
