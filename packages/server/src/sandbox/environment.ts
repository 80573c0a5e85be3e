import type { SandboxPaths } from './driver.ts'

/** Where the programs of a host and of a sandbox are; built from scratch, never inherited. */
export const systemPath = '/usr/local/bin:/usr/bin:/bin'

/**
 * The variables of a process inside, from nothing: no variable of the server is ever passed on.
 * Later ones win: the sandbox's own, routes, the proxy's, the session's, the command's. Throws on a name
 * or value that cannot be a variable.
 */
export function environmentInside(o: {
  readonly paths: SandboxPaths
  readonly tmp: string
  readonly path: string
  /** The directory with gh's settings. */
  readonly ghConfig: string
  readonly proxyUrl: string | null
  /** Paths of the gateway's, by the variable that holds their URL. */
  readonly routes?: Readonly<Record<string, string>> | undefined
  readonly extra: readonly Readonly<Record<string, string>>[]
}): Record<string, string> {
  const env: Record<string, string> = Object.assign(
    {
      PATH: o.path,
      HOME: o.paths.home,
      TMPDIR: o.tmp,
      CLAUDE_CONFIG_DIR: o.paths.config,
      LANG: 'C.UTF-8',
      USER: 'agent',
      LOGNAME: 'agent',
      SHELL: '/bin/bash',
      // A question nobody can answer would hang until the timeout.
      GIT_TERMINAL_PROMPT: '0',
      // npm would ask its registry for news of itself: a denied connection in every log.
      npm_config_update_notifier: 'false',
      GH_CONFIG_DIR: o.ghConfig,
      GH_NO_UPDATE_NOTIFIER: '1',
      // gh asks nothing without one; the gateway puts the real one in its place.
      GH_TOKEN: 'placeholder',
    },
    ...(o.proxyUrl === null ? [] : [routesAt(o.proxyUrl, o.routes), proxyVariables(o.proxyUrl)]),
    ...o.extra,
  )
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || value.includes('\0'))
      throw new Error(`not an environment variable: ${JSON.stringify(name)}`)
  }
  return env
}

function routesAt(url: string, routes: Readonly<Record<string, string>> = {}) {
  return Object.fromEntries(Object.entries(routes).map(([name, path]) => [name, `${url}${path}`]))
}

/** Both cases: curl reads only the lower, some tools only the upper. */
function proxyVariables(url: string): Record<string, string> {
  const direct = '127.0.0.1,localhost'
  return {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    NO_PROXY: direct,
    http_proxy: url,
    https_proxy: url,
    no_proxy: direct,
  }
}

/** gh's settings: it speaks plain HTTP to the gateway, which has the credential. */
export function ghSettings({ gatewaySocket }: SandboxPaths): string {
  return `git_protocol: https\nprompt: disabled\nhttp_unix_socket: ${JSON.stringify(gatewaySocket)}\n`
}
