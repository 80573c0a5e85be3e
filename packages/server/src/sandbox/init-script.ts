import { systemPath } from './environment.ts'
import { bridgePort } from './limits.ts'

/** Exit code of the init script when the bridge to the gateway did not come up. */
export const bridgeFailed = 125

/** 127.0.0.1 and the port as /proc/net/tcp writes them on a little-endian machine. */
const listening = `0100007F:${bridgePort.toString(16).toUpperCase().padStart(4, '0')}`

/**
 * The first program inside: `init <socket directory | -> <working directory> <command…>`.
 *
 * With a socket directory it starts the bridge from loopback TCP to the gateway's socket and waits
 * until it listens. It becomes the command by `exec`, so signals and the exit code are the
 * command's own. The bridge is started from a subshell that ends at once: it belongs to pid 1, and
 * the command has no child that it did not start. socat waits 0.5 s for the other half of a
 * half-closed connection by default, which cuts slow answers: hence `-t`.
 */
export const initScript = `# Longhaul: the first program inside a sandbox.
sockets=$1 directory=$2
shift 2

bridge_listens() {
  while read -r _ address _ state _; do
    [ "$address" = ${listening} ] && [ "$state" = 0A ] && return 0
  done </proc/net/tcp
  return 1
}

if [ "$sockets" != - ]; then
  (cd "$sockets" && PATH=${systemPath} socat -t 300 -b 65536 \\
    TCP-LISTEN:${bridgePort},bind=127.0.0.1,reuseaddr,fork,backlog=128 UNIX-CONNECT:gateway \\
    </dev/null >/dev/null 2>&1 &)
  tries=0
  until bridge_listens; do
    tries=$((tries + 1))
    if [ $tries -gt 1000 ]; then
      echo 'longhaul: the bridge to the gateway did not start; is socat installed?' >&2
      exit ${bridgeFailed}
    fi
    sleep 0.005
  done
fi

cd "$directory" || exit 126
exec "$@"
`

/**
 * A script that runs another with these words as its arguments. It has no command before its last
 * byte: one that was cut off runs nothing.
 */
export function scriptWith(words: readonly string[], script: string): string {
  return `{ set -- ${words.map(quoted).join(' ')}; . ${script}; }\n`
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
