import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** A request as it came. */
interface Received {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A callback receiver on loopback. */
export interface Receiver extends AsyncDisposable {
  readonly port: number
  readonly received: Received[]
  /** What it answers; null: nothing, ever. */
  answer: (
    request: Received,
  ) => { status: number; headers?: Record<string, string>; body?: string } | null
}

/** Starts a receiver that answers 200. */
export async function openReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const body = Buffer.concat(chunks).toString()
    const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)])
    const got = { path: request.url ?? '', headers: Object.fromEntries(headers), body }
    received.push(got)
    const answer = self.answer(got)
    if (answer) response.writeHead(answer.status, answer.headers).end(answer.body)
  }
  const web = createServer((request, response) => void take(request, response))
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const address = web.address()
  const self: Receiver = {
    port: typeof address === 'object' && address ? address.port : 0,
    received,
    answer: () => ({ status: 200 }),
    async [Symbol.asyncDispose]() {
      web.closeAllConnections()
      web.close()
      await once(web, 'close')
    },
  }
  return self
}
