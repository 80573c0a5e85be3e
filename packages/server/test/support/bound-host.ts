import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startUpstream, type Upstream } from '../gateway/harness.ts'
import { makeDirectory } from './postgres.ts'
import { authority, certified } from './tls.ts'

/** A host with TLS that secrets are bound to; it repeats the header that it was sent. */
export interface BoundHost extends AsyncDisposable {
  readonly requests: Upstream['requests']
  /** What an entry of `secrets` says of it. */
  readonly at: { readonly host: string; readonly ca: string }
  /** `host:port`, for GATEWAY_ALLOW_PRIVATE. */
  readonly address: string
  /** Writes a file beside its certificate, and gives its path. */
  write(name: string, text: string): Promise<string>
}

export async function startBoundHost(): Promise<BoundHost> {
  await using stack = new AsyncDisposableStack()
  const { path } = stack.use(await makeDirectory())
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(path, name), text, { mode: 0o600 })
    return join(path, name)
  }
  const ca = await write('ca.pem', authority)
  const upstream = stack.use(
    await startUpstream(({ url, headers }, response) => {
      response.end(`${url} heard ${headers.authorization}\n`)
    }, certified),
  )
  const address = `127.0.0.1:${upstream.port}`
  const closing = stack.move()
  return {
    ...{ requests: upstream.requests, at: { host: address, ca }, address, write },
    [Symbol.asyncDispose]: () => closing.disposeAsync(),
  }
}
