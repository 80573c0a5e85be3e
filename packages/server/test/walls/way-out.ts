import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { startGateway, type TestGateway } from '../gateway/harness.ts'
import type { Bench } from '../sandbox/support.ts'
import { canary, nodeScript } from './attack.ts'

/** A sandbox with a real gateway on its socket: what an attack on the way out starts from. */
export async function openWayOut(
  bench: Bench,
  slot: number,
  o: Parameters<typeof startGateway>[0],
): Promise<{ sandbox: Sandbox; gateway: TestGateway } & AsyncDisposable> {
  const sandbox = await bench.open(slot)
  const { uid: ownerUid, paths } = sandbox
  const gateway = await startGateway({ ...o, socketPath: paths.gatewaySocket, ownerUid })
  return { sandbox, gateway, [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose]() }
}

/** A server of the host that tells the canary to whoever connects. */
export async function talkative(
  at: { path: string } | { port: number; host: string },
  hear: (chunk: Buffer) => void = () => undefined,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket
      .on('error', () => undefined)
      .on('data', hear)
      .end(canary)
  })
  server.listen(at)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A request to the gateway as shell words; prints the status, then the body. */
export function asking(
  sandbox: Sandbox,
  o: { path: string; method?: string; headers?: Record<string, string>; body?: string },
): string {
  const options = { method: o.body === undefined ? 'GET' : 'POST', ...o }
  return nodeScript(
    sandbox,
    `const o = ${JSON.stringify(options)}
    const request = require('node:http').request({ host: '127.0.0.1', port: 3128, ...o }, (answer) => {
      console.log(answer.statusCode); answer.pipe(process.stdout) })
    request.on('error', (error) => console.log(error.code)); request.end(o.body)`,
  )
}

/** A CONNECT as shell words; prints all that comes back until the other side ends. */
export function connecting(authority: string): string {
  const words = `CONNECT ${authority} HTTP/1.1\\r\\nhost: ${authority}\\r\\n\\r\\n`
  return `exec 3<>/dev/tcp/127.0.0.1/3128; printf '${words}' >&3; cat <&3; exec 3>&-`
}
