import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to PostgreSQL that can be cut and slowed down, on a port of loopback. */
export interface Way extends AsyncDisposable {
  readonly port: number
  /** Breaks every connection, and takes none until it is mended. */
  cut(): void
  /** Holds back what comes from either side for so long; 0: no more. */
  delay(ms: number): void
  mend(): void
}

/** Bytes wait in the kernel beyond so many that wait here. */
const heldChunksMax = 1000

export async function openWay(socketPath: string): Promise<Way> {
  const open = new Set<Socket>()
  let isCut = false
  let delayMs = 0
  const pass = (from: Socket, to: Socket): void => {
    let waiting = 0
    from.on('data', (chunk) => {
      if (delayMs === 0 && waiting === 0) return void to.write(chunk)
      waiting += 1
      if (waiting > heldChunksMax) from.pause()
      setTimeout(() => {
        waiting -= 1
        if (from.isPaused()) from.resume()
        if (!to.destroyed) to.write(chunk)
      }, delayMs)
    })
    from.on('error', () => to.destroy())
    from.on('close', () => {
      open.delete(from)
      setTimeout(() => to.destroy(), delayMs)
    })
  }
  const server = createServer((client) => {
    open.add(client)
    if (isCut) return void client.destroy()
    const upstream = connect(socketPath)
    open.add(upstream)
    pass(client, upstream)
    pass(upstream, client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const breakAll = (): void => {
    for (const socket of open) socket.destroy()
  }
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    cut() {
      isCut = true
      breakAll()
    },
    delay(ms) {
      delayMs = ms
    },
    mend() {
      isCut = false
      delayMs = 0
    },
    async [Symbol.asyncDispose]() {
      breakAll()
      server.close()
      await once(server, 'close')
    },
  }
}
