/**
 * What /proc tells and takes, read as a whole from inside: 2.1 and 2.7 of the sandbox reference.
 * Everything is opened, and nothing is written: under weaker walls a write would succeed.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { type Bench, openBench, sh } from '../sandbox/support.ts'
import { canary, isRoot, nodeScript } from './attack.ts'

interface Found {
  /** The beginning of every file that could be read, by path. */
  readonly read: Readonly<Record<string, string>>
  /** Files that opened for writing. */
  readonly opened: readonly string[]
}

let bench: Bench
let sandbox: Sandbox
let found: Found
/** What of the host could be in there, each with a canary. */
const host = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 300_000)', canary], {
  env: { CANARY: canary },
  stdio: 'ignore',
})
before(async () => {
  process.env['LONGHAUL_TEST_CANARY'] = canary
  bench = await openBench({ dataDir: await mkdtemp('/var/tmp/lh-') })
  await mkdir(join(bench.dataDir, 'sessions', canary), { recursive: true })
  sandbox = await bench.open(964)
  found = await lookAround()
})
after(async () => {
  delete process.env['LONGHAUL_TEST_CANARY']
  host.kill('SIGKILL')
  await bench[Symbol.asyncDispose]()
})

test('nothing in /proc tells of the server, of other processes or of other sessions', async () => {
  const paths = Object.keys(found.read)
  assert.ok(paths.length > 200 && paths.includes('/proc/self/mountinfo'), `${paths.length} files`)
  const own = ['bin', 'etc']
    .map((name) => `${bench.dataDir}/${name}/`)
    .concat(`${sandbox.paths.root}/`)
  for (const [path, text] of Object.entries(found.read)) {
    assert.ok(!text.includes(canary), `the canary is in ${path}`)
    const named = text.match(new RegExp(`${bench.dataDir}/[^\\s\\0:,]*`, 'g')) ?? []
    const others = named.filter((each) => !own.some((part) => `${each}/`.startsWith(part)))
    assert.deepEqual(others, [], `${path} names a canary path`)
    // A server that is not root shows its node and its claude where they are.
    if (isRoot) assert.ok(!text.includes(import.meta.dirname), `a canary path is in ${path}`)
  }
  assert.equal(found.read['/proc/sys/kernel/hostname'], 'sandbox\n')
})

test('nothing of the machine is read in /proc but what programs need', async () => {
  const harmless =
    /^\/proc\/(?:\d+|self|thread-self|mounts|net|sys|pressure|sysvipc|tty|buddyinfo|cgroups|consoles|cpuinfo|crypto|devices|dma|execdomains|filesystems|loadavg|locks|meminfo|misc|softirqs|stat|swaps|uptime|version|vmstat|zoneinfo)(?:\/|$)/
  const told = Object.keys(found.read).filter((path) => !harmless.test(path))
  assert.deepEqual(told, [], `a canary file of the machine is read: ${told.join(' ')}`)
  // What is not shown is there on the host: this test would see it.
  const onHost = await readdir('/proc')
  assert.ok(onHost.includes('cmdline') && onHost.includes('interrupts'), 'the host has it')
  const boot = await readFile('/proc/cmdline', 'utf8')
  const { stdout } = await sh(sandbox, 'cat /proc/cmdline /proc/keys; ls /proc/fs /proc/bus')
  assert.ok(!stdout.includes(boot.trim()), 'the canary of the boot was read')
  assert.equal(stdout.replaceAll(/^(?:\/proc\/\w+:)?\n/gm, ''), '')
})

test('nothing in /proc opens for writing but what is a process’s own', () => {
  assert.deepEqual(found.opened, [], `a canary file opened: ${found.opened.join(' ')}`)
})

test('what programs ask of the machine is there', async () => {
  const script = 'nproc && free -m && uptime && ps aux | grep -c ps && cat /proc/pressure/cpu'
  const { exitCode, stderr } = await sh(sandbox, script)
  assert.equal(exitCode, 0, stderr)
})

/** Reads and opens everything there, within bounds, from inside. */
async function lookAround(): Promise<Found> {
  const source = `
    const fs = require('node:fs')
    const read = {}, opened = []
    let count = 0
    const { O_RDONLY, O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants
    const open = (path, flags) => {
      try { return fs.openSync(path, flags | O_NONBLOCK | O_NOCTTY) } catch { return -1 }
    }
    const visit = (path, depth) => {
      let names = []
      try { names = fs.readdirSync(path, { withFileTypes: true }) } catch { return }
      for (const entry of names) {
        const at = path + '/' + entry.name
        if (/^(?:task|map_files|fd|fdinfo)$/.test(entry.name)) continue
        if (entry.name === 'net' && path !== '/proc/self') continue
        if (entry.isDirectory() && depth < 8) visit(at, depth + 1)
        if (!entry.isFile() || count > 20000) continue
        const from = open(at, O_RDONLY)
        if (from >= 0) {
          const bytes = Buffer.alloc(65536)
          count += 1
          try { read[at] = bytes.toString('latin1', 0, fs.readSync(from, bytes)) } catch {}
          fs.closeSync(from)
        }
        if (/^\\/proc\\/(?:\\d+|self|thread-self)\\//.test(at)) continue
        const to = open(at, O_WRONLY)
        if (to < 0) continue
        fs.closeSync(to)
        opened.push(at)
      }
    }
    for (const top of ['/proc', '/proc/self', '/sys']) visit(top, 0)
    process.stdout.write(JSON.stringify({ read, opened }))`
  const { stdout, stderr } = await sh(sandbox, nodeScript(sandbox, source), {
    ...{ network: true, timeoutMs: 60_000, outputBytesMax: 64 * 1024 ** 2 },
  })
  assert.match(stdout, /^\{"read":/, stderr)
  return JSON.parse(stdout)
}
