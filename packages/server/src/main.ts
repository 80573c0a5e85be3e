import { buildServer, type Server } from './build.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { knownSecrets } from './known-secrets.ts'
import { createLog } from './log.ts'
import { Scrubber } from './scrub/scrubber.ts'

/** A stop that takes longer than this is forced: what runs is taken up again at the next start. */
const stopMsMax = 30_000

/**
 * Runs the server until it is told to stop: config → build → listen → drain on SIGTERM. Resolves
 * when everything has stopped; rejects with one sentence when it cannot start.
 */
export async function serve(config: Config): Promise<void> {
  const scrubber = new Scrubber(knownSecrets(config))
  const log = createLog(config.logLevel, scrubber)
  const stopped = Promise.withResolvers<string>()
  const stop = (why: NodeJS.Signals | string): void => stopped.resolve(why)
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
  const server = await buildServer({
    config,
    clock: systemClock,
    log,
    scrubber,
    signal: startSignal(stopped),
  })
  server.lost.addEventListener('abort', () => stop('another server took the data directory over'))
  greet(server)
  log.info({ why: await stopped.promise }, 'stopping')
  const forced = setTimeout(() => {
    log.error('stopping took too long and was forced')
    process.exit(1)
  }, stopMsMax)
  await server[Symbol.asyncDispose]()
  clearTimeout(forced)
}

/** Aborts when a stop is asked for while the server is still starting. */
function startSignal(stopped: PromiseWithResolvers<string>): AbortSignal {
  const starting = new AbortController()
  void stopped.promise.then((why) => starting.abort(new Error(`stopped while starting: ${why}`)))
  return starting.signal
}

function greet({ url, mintedKey, modelConfigured }: Server): void {
  console.log(`listening on ${url}`)
  if (mintedKey !== null) {
    console.log(`first API key, shown this once: ${mintedKey}`)
  }
  if (!modelConfigured)
    console.log('no model key is configured: tasks fail until ANTHROPIC_API_KEY is set')
  console.log(
    `try: curl -s ${url}/api/workflows -H 'Authorization: Bearer ${mintedKey ?? '<your key>'}' -H 'Content-Type: application/json' -d '{"type":"analysis","repoUrl":"https://github.com/octocat/Hello-World","instructions":"What is in this repository?","priority":"medium"}'`,
  )
}
