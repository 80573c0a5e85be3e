import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const launcher = join(import.meta.dirname, '../../../../bin/longhaul.mjs')

/** Runs the launcher as a person would, on whatever Node is on the PATH. */
export async function longhaul(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = spawn('node', [launcher, ...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', (chunk) => {
    said.out += String(chunk)
  })
  child.stderr.on('data', (chunk) => {
    said.err += String(chunk)
  })
  const [code] = await once(child, 'close')
  return { code, ...said }
}
