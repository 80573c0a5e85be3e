import { resolve } from 'node:path'
import { keyName, keyScopes, type Scope } from '@longhaul/client/contract'
import { Command, Option } from 'commander'
import { version } from './build.ts'
import { systemClock } from './clock.ts'
import { describeConfig, loadConfig } from './config.ts'
import { createKey } from './http/first-key.ts'
import { createLog } from './log.ts'
import { serve, work } from './main.ts'
import { examine } from './sandbox/doctor.ts'
import { reportText } from './sandbox/report-text.ts'
import { openBeside } from './store/beside.ts'

const program = new Command('longhaul')
  .description('Long-running agents on real repositories.')
  .version(version)

program
  .command('serve')
  .description('run the server; its settings are environment variables')
  .action(() => serve(loadConfig(process.env)))

program
  .command('doctor')
  .description(
    'try a real sandbox on this host, and say what holds, what does not, and how to mend it',
  )
  .option('--json', 'print the report as JSON, as /health has it')
  .action(doctor)

program
  .command('work')
  .description('run a worker without an API, beside the servers of the same DATABASE_URL')
  .action(() => work(loadConfig(process.env)))

program
  .command('keys')
  .description('API keys')
  .command('create <name>')
  .description('make a key and print it, this once; works beside a running server')
  .addOption(
    new Option('--scope <scope...>', 'what it may do')
      .choices(keyScopes)
      .default(['*'] satisfies Scope[]),
  )
  .action(createNamedKey)

program
  .command('config')
  .description('list every setting, with its default and what it means')
  .action(() => {
    for (const { name, default: fallback, meaning } of describeConfig()) {
      console.log(
        `${name.padEnd(24)} ${meaning}${fallback === '' ? '' : ` (default: ${fallback})`}`,
      )
    }
  })

try {
  await program.parseAsync()
} catch (error) {
  // One sentence for people; the stack is for who asks for it.
  console.error(error instanceof Error ? error.message : String(error))
  if (process.env['LOG_LEVEL'] === 'debug') console.error(error)
  process.exitCode = 1
}

/** Ends with 1 where no sandbox is possible. Needs no model, no database and no running server. */
async function doctor(o: { readonly json?: true }): Promise<void> {
  const { dataDir, slotUidBase, sandbox, sandboxRequireLimits } = loadConfig(process.env)
  const stopped = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.once(signal, () => stopped.abort(new Error(`stopped by ${signal}`)))
  const report = await examine({
    ...{ dataDir, uidBase: slotUidBase, requireLimits: sandboxRequireLimits },
    // The log is on standard output, where the report is.
    ...{ clock: systemClock, log: createLog('silent') },
    signal: AbortSignal.any([stopped.signal, AbortSignal.timeout(60_000)]),
  })
  console.log(o.json === true ? JSON.stringify(report, null, 2) : reportText(report))
  if (sandbox === 'none')
    console.error(
      'SANDBOX=none is set: a server with these settings starts without any of these walls.',
    )
  if (!report.ok) process.exitCode = 1
}

async function createNamedKey(name: string, o: { readonly scope: Scope[] }): Promise<void> {
  if (!keyName.safeParse(name).success)
    throw new Error('The name of a key is 1 to 64 letters, digits, spaces or .@_-')
  const { dataDir, databaseUrl } = loadConfig(process.env)
  await using store = await openBeside({
    dataDir: resolve(dataDir),
    databaseUrl,
    clock: systemClock,
    log: createLog('warn'),
    signal: AbortSignal.timeout(60_000),
  })
  console.log(await createKey({ store, clock: systemClock }, { name, scopes: o.scope }))
}
