import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { forwarderConnectionsMax } from './limits.ts'

/** A loopback port that leads to a unix socket; disposing cuts its connections. */
interface Forwarder extends AsyncDisposable {
  readonly port: number
}

/**
 * Stands in for the bridge where there is no network namespace. Any process of the host can
 * connect to it, which is one more reason why `none` is for development.
 */
export async function openForwarder(o: { readonly socketPath: string }): Promise<Forwarder> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const gateway = connect({ path: o.socketPath, allowHalfOpen: true })
    for (const socket of [client, gateway]) {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    }
    // One side's failure ends both; there is nobody to tell but the peers, who see the end.
    const cut = (): void => {
      client.destroy()
      gateway.destroy()
    }
    pipeline(client, gateway).catch(cut)
    pipeline(gateway, client).catch(cut)
  })
  server.maxConnections = forwarderConnectionsMax
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // The server's life is the sandbox's, not the process's.
  server.unref()
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no loopback port')
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
