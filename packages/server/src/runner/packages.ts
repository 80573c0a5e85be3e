import { createHash } from 'node:crypto'
import type { EnvironmentContent } from '@longhaul/client/contract'
import { hostsOf } from '../gateway/network.ts'
import { openGateway } from '../gateway/server.ts'
import type { Sandbox } from '../sandbox/driver.ts'
import { systemPath } from '../sandbox/environment.ts'
import type { RunnerDeps } from './deps.ts'
import { auditedBy } from './gateway-audit.ts'
import type { Held } from './mirrors.ts'

/** Installing everything that one environment names. */
const installMsMax = 10 * 60_000
/** Of npm's words, which end in an event. */
const outputBytesMax = 16 * 1024

/** npm could not install what the environment names; the message has its words. */
export class PackagesFailed extends Error {}

/** The packages of an environment, read-only, for a sandbox that is to have them. */
export interface Packages {
  /** Shown to every process, at its own path. */
  readonly shown: string
  /** Variables with which their programs are found. */
  readonly env: Readonly<Record<string, string>>
  /** Nobody of this session reads them any more. */
  release(): void
}

/**
 * The npm packages of the environment, installed once on this node, in a sandbox of their own with no
 * way out but to the package registries: their install scripts run there, and nowhere else. Null:
 * there are none. Throws `PackagesFailed`; rejects when the signal aborts.
 */
export async function holdPackages(
  deps: RunnerDeps,
  { config: { packages } }: EnvironmentContent,
  signal: AbortSignal,
): Promise<Packages | null> {
  const { npm } = packages
  if (npm.length === 0) return null
  const name = `packages-${createHash('sha256').update(npm.join('\n')).digest('hex').slice(0, 32)}`
  const fill = (sandbox: Sandbox): Promise<void> => install(deps, { sandbox, npm, signal })
  const held: Held = await deps.mirrors.hold(name, { env: deps.egress.env, fill, signal })
  return {
    shown: held.directory,
    env: { PATH: `${held.directory}/bin:${systemPath}` },
    release: held.release,
  }
}

/** npm's own files are left out of the prefix, and what others may not read is opened to them. */
const installScript = `umask 022
npm install --global --prefix "$1" --cache /tmp/npm --no-audit --no-fund --no-progress -- "\${@:2}" 2>&1 || exit
mkdir -p "$1/bin" && chmod -R a+rX "$1"`

async function install(
  deps: RunnerDeps,
  o: {
    readonly sandbox: Sandbox
    readonly npm: readonly string[]
    readonly signal: AbortSignal
  },
): Promise<void> {
  const { sandbox, npm, signal } = o
  await using _wayOut = await openWayOut(deps, sandbox)
  const words = ['bash', '-c', installScript, 'bash', sandbox.paths.workspace, ...npm]
  const end = await sandbox.exec(words, {
    network: true,
    timeoutMs: installMsMax,
    outputBytesMax,
    signal,
  })
  if (end.exitCode === 0) return
  const how = end.timedOut ? `took longer than ${installMsMax / 60_000} minutes` : 'failed'
  throw new PackagesFailed(
    `Installing the environment's packages (${npm.join(', ')}) ${how}: ${end.stdout.trim()}`,
  )
}

function openWayOut(deps: RunnerDeps, sandbox: Sandbox): Promise<AsyncDisposable> {
  const { config, egress, audit, metrics, clock, log } = deps
  const refusal = async (): Promise<string> => 'Packages are only installed here.'
  return openGateway({
    socketPath: sandbox.paths.gatewaySocket,
    ownerUid: sandbox.uid,
    policy: {
      ...{ model: null, git: null, github: null, mcp: [], secrets: [], network: 'limited' },
      connect: hostsOf(config.gatewayAllow, egress.presets),
      allowPrivate: config.gatewayAllowPrivate,
    },
    budget: { limitUsd: 0, spentUsd: 0 },
    hooks: {
      beforeModelRequest: async () => undefined,
      beforeParking: async () => undefined,
      isHeld: async () => false,
      mayPush: refusal,
      mayComment: refusal,
      onCommented: () => undefined,
      onUsage: async () => undefined,
      onQuota: () => undefined,
      onSilence: () => undefined,
      onRefused: () => undefined,
      onDenied: (denial) => log.warn(denial, 'packages were denied a way out'),
      ...auditedBy(audit, null),
    },
    metrics,
    clock,
    log,
  })
}
