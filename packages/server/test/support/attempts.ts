import assert from 'node:assert/strict'

/** Command lines for the clients below, and whether each gets where it wants. */
export type Attempts = readonly (readonly [command: string, ends: 'reached' | 'refused'])[]

/**
 * A program (`bash attempts.sh`) that makes each attempt and prints how it ended, for
 * `assertAttempts`. Clients through the gateway, with a URL: `curl_get`, `curl_connect` (a tunnel),
 * `node_get`. Clients that go directly, with a host and a port: `bash_tcp`, `node_tcp`; with a
 * path: `node_unix`. `$gateway_port` is the gateway's on 127.0.0.1.
 */
export function attemptsProgram(attempts: Attempts): string {
  return [clients, ...attempts.map(([command]) => `attempt '${command}'`), ''].join('\n')
}

/** What it prints when every attempt ends as it should. */
export function endsOf(attempts: Attempts): string {
  return attempts.map(([command, ends]) => `${ends}: ${command}`).join('\n')
}

/** Asserts that every attempt ended as it should. */
export function assertAttempts(printed: string, attempts: Attempts): void {
  assert.deepEqual(printed.split('\n'), endsOf(attempts).split('\n'))
}

const clients = `
gateway_port=\${HTTP_PROXY##*:}
gateway_port=\${gateway_port%/}

attempt() {
  if eval "$1" >/dev/null 2>&1; then echo "reached: $1"; else echo "refused: $1"; fi
}
curl_get() { curl -sf -m 60 --noproxy '' -x "$HTTP_PROXY" "$1"; }
curl_connect() { curl -sf -m 60 --noproxy '' -p -x "$HTTP_PROXY" "$1"; }
node_get() {
  node -e '
    const [port, path] = process.argv.slice(1)
    require("http")
      .get({ host: "127.0.0.1", port, path, headers: { host: new URL(path).host } }, (response) =>
        process.exit(response.statusCode === 200 ? 0 : 1))
      .on("error", () => process.exit(1))
  ' "$gateway_port" "$1"
}
bash_tcp() { timeout 60 bash -c "</dev/tcp/$1/$2"; }
node_to() {
  timeout 60 node -e '
    require("net")
      .connect(JSON.parse(process.argv[1]))
      .on("connect", () => process.exit(0))
      .on("error", () => process.exit(1))
  ' "$1"
}
node_tcp() { node_to "{\\"host\\":\\"$1\\",\\"port\\":$2}"; }
node_unix() { node_to "{\\"path\\":\\"$1\\"}"; }
`
