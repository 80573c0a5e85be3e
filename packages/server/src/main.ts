import type { Roles } from './build/runner.ts'
import { buildServer, type Server } from './build.ts'
import { systemClock } from './clock.ts'
import type { Config } from './config.ts'
import { knownSecrets } from './known-secrets.ts'
import { createLog } from './log.ts'
import { Scrubber } from './scrub/scrubber.ts'

/** A stop that takes longer than this is forced: what runs is taken up again at the next start. */
const stopMsMax = 30_000

/** Runs a server with the API, which works on tasks as well unless `WORKER` says no; see `run`. */
export function serve(config: Config): Promise<void> {
  if (!config.worker && config.databaseUrl === null)
    throw new Error('WORKER=false needs DATABASE_URL: the store of this server is its own alone.')
  return run(config, { http: true, worker: config.worker })
}

/** Runs a worker without the API beside the servers of the same database; see `run`. */
export function work(config: Config): Promise<void> {
  if (config.databaseUrl === null)
    throw new Error(
      '`longhaul work` needs DATABASE_URL, the one of the servers that take the orders.',
    )
  if (config.publicUrl === null)
    throw new Error(
      '`longhaul work` needs PUBLIC_URL, where people reach the server: pull requests link there.',
    )
  return run(config, { http: false, worker: true })
}

/**
 * Runs a process until it is told to stop: config → build → listen → drain on SIGTERM. Resolves
 * when everything has stopped; rejects with one sentence when it cannot start.
 */
async function run(config: Config, roles: Roles): Promise<void> {
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
    roles,
    signal: startSignal(stopped),
  })
  server.lost.addEventListener('abort', () => stop('another server took the data directory over'))
  greet(server, roles)
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

function greet({ url, mintedKey, modelConfigured }: Server, { http }: Roles): void {
  console.log(`listening on ${url}`)
  if (mintedKey !== null) {
    console.log(`first API key, shown this once: ${mintedKey}`)
  }
  if (!modelConfigured)
    console.log('no model key is configured: tasks fail until ANTHROPIC_API_KEY is set')
  if (!http) return
  console.log(
    `try: curl -s ${url}/api/workflows -H 'Authorization: Bearer ${mintedKey ?? '<your key>'}' -H 'Content-Type: application/json' -d '{"type":"analysis","repoUrl":"https://github.com/octocat/Hello-World","instructions":"What is in this repository?","priority":"medium"}'`,
  )
}
