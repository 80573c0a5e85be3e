import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

/** A secret of nobody, planted to see whether a search finds what there is. */
const decoy = 'decoy"of/the+server??>>~~'

/**
 * A program (`node search.mjs`) that plants a decoy, then searches the sandbox it runs in for the
 * decoy and for the given secrets, in every form: the variables, the arguments and the memory of
 * every process, and every file but the programs (/usr, /opt). It prints what it found as JSON, for
 * `assertOnlyDecoys`. It holds no needle itself: they are written backwards.
 */
export function searchProgram(secrets: Readonly<Record<string, string>>): string {
  const needles = Object.entries({ ...secrets, decoy }).flatMap(([name, secret]) =>
    Object.entries(formsOf(secret)).map(([form, text]) => [backwards(text), `${name}, ${form}`]),
  )
  return `${program}
await search(${JSON.stringify(needles, null, 2)}, ${JSON.stringify(backwards(decoy))})
`
}

/**
 * Asserts that a search found the decoy in every place and form, and no secret, and that it could
 * read the memory of the agent's own process, unless this host lets nobody do so.
 */
export function assertOnlyDecoys(printed: string): void {
  const { found, read }: { found?: unknown; read?: unknown } = JSON.parse(printed)
  assert.ok(Array.isArray(found) && Array.isArray(read), printed)
  if (!isPtraceRestricted()) assert.ok(read.includes('claude'), printed)
  const places = ['environ', 'cmdline', 'home', 'tmp', 'shm', 'workspace', 'memory of sleep']
  const inFiles = Object.keys(formsOf(decoy)).map((form) => `decoy, ${form}: in-${form}`)
  const expected = [...places.map((place) => `decoy, plain: ${place}`), ...inFiles]
  assert.deepEqual(found, expected.sort())
}

/** Whether only a process's ancestors may look into it, as Yama has it. */
function isPtraceRestricted(): boolean {
  try {
    return readFileSync('/proc/sys/kernel/yama/ptrace_scope', 'utf8').trim() !== '0'
  } catch {
    // There is no Yama.
    return false
  }
}

/** The texts that give a secret away, by form; forms that look the same are named once. */
function formsOf(secret: string): Record<string, string> {
  const bytes = Buffer.from(secret)
  const base64 = [0, 1, 2].map((offset) => [`base64-${offset}`, base64At(bytes, offset)] as const)
  const forms = [
    ['plain', secret],
    ['json', JSON.stringify(secret).slice(1, -1)],
    ['url', encodeURIComponent(secret)],
    ['form', String(new URLSearchParams({ secret })).replace('secret=', '')],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ...base64,
    ...base64.map(([form, text]) => [`${form}-url`, urlSafe(text)] as const),
  ] as const
  const named = new Map(forms.toReversed().map(([form, text]) => [text, form]))
  return Object.fromEntries([...named].map(([text, form]) => [form, text]))
}

/** What stands in the base64 of anything that has these bytes `offset` bytes after a third one. */
function base64At(bytes: Buffer, offset: number): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  return text.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6))
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_')
}

function backwards(text: string): string {
  return [...text].reverse().join('')
}

/** The forms are planted as they occur, each written by what usually writes it. */
const program = `
import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'

const backwards = (text) => [...text].reverse().join('')

async function search(flipped, flippedDecoy) {
  const labels = new Map(flipped.map(([text, label]) => [backwards(text), label]))
  const unplant = await plant(backwards(flippedDecoy))
  // grep would follow the links that lead to /usr.
  const files = readdirSync('/', { withFileTypes: true })
    .filter((entry) => !entry.isSymbolicLink() && !['opt', 'proc', 'sys', 'usr'].includes(entry.name))
    .map((entry) => entry.name)
  const processes = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))
  const found = new Set()
  for (const roots of [
    files.map((name) => '/' + name),
    processes.flatMap((pid) => ['environ', 'cmdline'].map((name) => '/proc/' + pid + '/' + name)),
  ]) {
    const options = ['-raoFHZs', '--devices=skip', '--file=-', '--', ...roots]
    const input = [...labels.keys()].join('\\n')
    const { stdout, error } = spawnSync('grep', options, {
      input, env: { LC_ALL: 'C', PATH: process.env.PATH }, maxBuffer: 2 ** 26,
    })
    if (error) throw error
    for (const line of String(stdout).split('\\n').filter((line) => line !== '')) {
      const [path, text] = line.split('\\0')
      found.add((labels.get(text) ?? 'unknown') + ': ' + basename(path))
    }
  }
  const read = new Set()
  for (const pid of processes.filter((pid) => pid !== String(process.pid))) {
    const { name, texts } = await searchMemory(pid, [...labels.keys()])
    if (name !== null) read.add(name)
    for (const text of texts) found.add((labels.get(text) ?? 'unknown') + ': memory of ' + name)
  }
  unplant()
  console.log(JSON.stringify({ found: [...found].sort(), read: [...read].sort() }, null, 1))
}

/** The name of a process, null if its memory cannot be read, and which of the needles are in it. */
async function searchMemory(pid, needles) {
  const grep = spawn('grep', ['-aoF', ...needles.flatMap((needle) => ['-e', needle])], {
    env: { LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'inherit'],
  })
  let printed = ''
  grep.stdout.on('data', (chunk) => { printed += chunk.toString('latin1') })
  const ended = new Promise((end) => grep.once('close', end))
  let name = null
  try {
    name = readFileSync('/proc/' + pid + '/comm', 'utf8').trim()
    let bytes = 0
    for (const part of residentParts(pid)) {
      bytes += part.length
      if (!grep.stdin.write(part)) await new Promise((go) => grep.stdin.once('drain', go))
    }
    if (bytes === 0) name = null
  } catch {
    // It ended, or its memory is closed to us.
    name = null
  }
  grep.stdin.end()
  await ended
  return { name, texts: new Set(printed.split('\\n').filter((text) => text !== '')) }
}

/** What a process has in memory now, page runs in order; what was never touched is left out. */
function* residentParts(pid) {
  const page = 4096
  const [memory, pages] = ['mem', 'pagemap'].map((name) => openSync('/proc/' + pid + '/' + name))
  try {
    for (const line of readFileSync('/proc/' + pid + '/maps', 'utf8').split('\\n')) {
      const [, from, to, write, path] =
        /^([0-9a-f]+)-([0-9a-f]+) r(.)\\S+ \\S+ \\S+ \\d+ *(.*)$/.exec(line) ?? []
      // A file that is only read is searched as a file.
      if (from === undefined || (write === '-' && path !== '') || path.startsWith('[v')) continue
      const [first, end] = [parseInt(from, 16), parseInt(to, 16)].map((at) => at / page)
      for (let at = first; at < end; at += 4096) {
        const count = Math.min(4096, end - at)
        const map = Buffer.alloc(count * 8)
        readSync(pages, map, 0, map.length, at * 8)
        for (let n = 0; n < count; n += 1) {
          const start = n
          while (n < count && (map[n * 8 + 7] & 0xc0) !== 0) n += 1
          if (n === start) continue
          const part = Buffer.alloc((n - start) * page)
          try {
            yield part.subarray(0, readSync(memory, part, 0, part.length, (at + start) * page))
          } catch {
            // Unmapped meanwhile.
          }
        }
      }
    }
  } finally {
    closeSync(memory)
    closeSync(pages)
  }
}

async function plant(decoy) {
  const base64 = (before, form) => Buffer.from(before + decoy + '.').toString(form)
  const forms = {
    plain: decoy,
    json: JSON.stringify({ decoy }),
    url: 'https://example.com/' + encodeURIComponent(decoy),
    form: String(new URLSearchParams({ decoy })),
    hex: Buffer.from(decoy).toString('hex'),
    HEX: Buffer.from(decoy).toString('hex').toUpperCase(),
  }
  for (const [offset, before] of ['', 'a', 'ab'].entries()) {
    forms['base64-' + offset] = base64(before, 'base64')
    forms['base64-' + offset + '-url'] = base64(before, 'base64url')
  }
  const directory = mkdtempSync(join(process.env.TMPDIR, 'decoys-'))
  const files = {
    [join(process.env.HOME, 'home')]: decoy,
    '/tmp/tmp': decoy,
    '/dev/shm/shm': decoy,
    '.git/workspace': decoy,
    ...Object.fromEntries(Object.keys(forms).map((form) => [join(directory, 'in-' + form), forms[form]])),
  }
  for (const [path, text] of Object.entries(files)) writeFileSync(path, text)
  const processes = [
    spawn('sleep', ['60'], { env: { PATH: process.env.PATH, DECOY: decoy } }),
    spawn('sleep', ['60'], { argv0: decoy }),
  ]
  await Promise.all(processes.map((child) => new Promise((go) => child.once('spawn', go))))
  return () => {
    for (const child of processes) child.kill()
    for (const path of [directory, ...Object.keys(files)]) rmSync(path, { recursive: true, force: true })
  }
}
`
