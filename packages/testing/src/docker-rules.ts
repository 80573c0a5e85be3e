/**
 * What the fake engine refuses, as an authorization plugin of a careful operator would: whatever gives
 * a container more of its host than a bounded share of memory, processor and processes. Each answers
 * the sentence of the refusal, or null.
 */

/** Of a container that is to be created. */
export function refusalOfContainer(body: Json): string | null {
  const host = objectIn(body, 'HostConfig')
  const present = forbidden.find((name) => isGiven(host[name]) || isGiven(body[name]))
  if (present !== undefined) return `${present} is not allowed`
  const shared = namespaces.find(
    (name) => host[name] === 'host' || String(host[name]).includes(':'),
  )
  if (shared !== undefined) return `${shared} of the host is not allowed`
  if (host['NetworkMode'] !== 'none') return 'NetworkMode must be none'
  if (!listIn(host, 'CapDrop').includes('ALL')) return 'CapDrop must have ALL'
  if (!listIn(host, 'SecurityOpt').includes('no-new-privileges'))
    return 'SecurityOpt must have no-new-privileges'
  if (listIn(host, 'SecurityOpt').length > 1) return 'SecurityOpt must have nothing else'
  const unbounded = bounds.find((name) => !(Number(host[name]) > 0))
  return unbounded === undefined ? null : `${unbounded} must be bounded`
}

/** Of a build, by its query. */
export function refusalOfBuild(query: URLSearchParams): string | null {
  if (query.get('networkmode') !== 'none') return 'networkmode must be none'
  if (query.get('version') !== '1') return 'only the classic builder is allowed'
  if (query.has('remote')) return 'remote is not allowed'
  const unbounded = ['memory', 'memswap', 'cpuquota'].find((name) => !(Number(query.get(name)) > 0))
  if (unbounded !== undefined) return `${unbounded} must be bounded`
  return query.get('forcerm') === '1' ? null : 'forcerm must be set'
}

export type Json = Readonly<Record<string, unknown>>

const forbidden = [
  'Binds',
  'CapAdd',
  'DeviceCgroupRules',
  'DeviceRequests',
  'Devices',
  'GroupAdd',
  'Mounts',
  'PortBindings',
  'Privileged',
  'PublishAllPorts',
  'Runtime',
  'Sysctls',
  'Volumes',
  'VolumesFrom',
]
const namespaces = ['CgroupnsMode', 'IpcMode', 'NetworkMode', 'PidMode', 'UsernsMode', 'UTSMode']
const bounds = ['Memory', 'MemorySwap', 'CpuQuota', 'PidsLimit']

function isGiven(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  return typeof value !== 'object' || Object.keys(value).length > 0
}

function objectIn(body: Json, name: string): Json {
  const value = body[name]
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {}
}

function listIn(body: Json, name: string): unknown[] {
  const value = body[name]
  return Array.isArray(value) ? value : []
}
