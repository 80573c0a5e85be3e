/** A thread that sends large bodies to the socket of a gateway, over and over, and says so at the first answer. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

const { socketPath, contentBytes, atOnce } = workerData as {
  readonly socketPath: string
  readonly contentBytes: number
  readonly atOnce: number
}
// The last character makes the text a wide one, which takes twice the memory and time.
const content = Buffer.concat([Buffer.alloc(contentBytes, 'x'), Buffer.from('✓')])
const body = Buffer.concat([
  Buffer.from('{"model":"claude-opus-5","max_tokens":1,"messages":[{"role":"user","content":"'),
  content,
  Buffer.from('"}]}'),
])

await Promise.all(Array.from({ length: atOnce }, sendOn))

async function sendOn(): Promise<never> {
  for (;;) {
    const sent = request({
      socketPath,
      path: '/anthropic/v1/messages',
      method: 'POST',
      agent: false,
    })
    sent.end(body)
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'close')
    if (answer.statusCode === 200) parentPort?.postMessage('answered')
  }
}
