import { resolve } from 'node:path'
import { keyName, keyScopes, type Scope } from '@longhaul/client/contract'
import { Command, Option } from 'commander'
import { version } from './build.ts'
import { systemClock } from './clock.ts'
import { describeConfig, loadConfig } from './config.ts'
import { createKey } from './http/first-key.ts'
import { createLog } from './log.ts'
import { serve } from './main.ts'
import { openBeside } from './store/beside.ts'

const program = new Command('longhaul')
  .description('Long-running agents on real repositories.')
  .version(version)

program
  .command('serve')
  .description('run the server; its settings are environment variables')
  .action(() => serve(loadConfig(process.env)))

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
