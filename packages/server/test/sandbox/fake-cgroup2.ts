import { basename, dirname } from 'node:path'
import type { CgroupFiles } from '../../src/sandbox/limits/cgroup-files.ts'

/**
 * A tree of control groups version 2 with the kernel's rules: a group has the files of the
 * controllers that its parent delegates; a group with processes delegates none; a group with
 * processes or groups cannot be removed.
 */
export class FakeCgroup2 implements CgroupFiles {
  /** Paths of files, and what is in them. */
  readonly files = new Map<string, string>()
  readonly #groups = new Set<string>()
  /** The code with which every write is refused. */
  readonly #refusal: string | null

  constructor(o: { root: string; own: string; controllers: string; refusal?: string }) {
    this.#refusal = o.refusal ?? null
    this.#add(o.own, o.controllers.split(' '))
    this.files.set('/proc-of-server/cgroup', `0::${o.own.slice(o.root.length) || '/'}\n`)
    this.files.set(
      '/proc-of-server/mountinfo',
      `30 23 0:26 / ${o.root} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n`,
    )
  }

  async mkdir(directory: string): Promise<void> {
    this.#check()
    if (this.#groups.has(directory)) throw failure('EEXIST')
    const delegated = this.files.get(`${dirname(directory)}/cgroup.subtree_control`)
    if (delegated === undefined) throw failure('ENOENT')
    this.#add(directory, delegated.split(' ').filter(Boolean))
  }

  async rmdir(directory: string): Promise<void> {
    if (!this.#groups.has(directory)) throw failure('ENOENT')
    const busy = this.files.get(`${directory}/cgroup.procs`) !== ''
    if (busy || [...this.#groups].some((path) => dirname(path) === directory))
      throw failure('EBUSY')
    this.#groups.delete(directory)
    for (const path of [...this.files.keys()]) {
      if (dirname(path) === directory) this.files.delete(path)
    }
  }

  async list(directory: string): Promise<string[]> {
    return [...this.#groups]
      .filter((path) => dirname(path) === directory)
      .map((path) => basename(path))
  }

  async read(path: string): Promise<string> {
    return this.readNow(path)
  }

  readNow(path: string): string {
    const text = this.files.get(path)
    if (text === undefined) throw failure('ENOENT')
    return text
  }

  async write(path: string, value: string): Promise<void> {
    this.#check()
    if (!this.files.has(path)) throw failure('EACCES')
    const group = dirname(path)
    switch (basename(path)) {
      case 'cgroup.procs':
        return this.#move(value, group)
      case 'cgroup.subtree_control': {
        if (this.files.get(`${group}/cgroup.procs`) !== '') throw failure('EBUSY')
        const had = this.readNow(path).split(' ').filter(Boolean)
        this.files.set(path, [...had, value.slice(1)].join(' '))
        return
      }
      case 'cgroup.kill':
        this.files.set(`${group}/cgroup.procs`, '')
        return
      default:
        this.files.set(path, value)
    }
  }

  /** Every group there is. */
  groups(): string[] {
    return [...this.#groups]
  }

  #move(pid: string, to: string): void {
    if (this.files.get(`${to}/cgroup.subtree_control`) !== '') throw failure('EBUSY')
    for (const group of this.#groups) {
      const left = this.readNow(`${group}/cgroup.procs`)
        .split('\n')
        .filter((other) => other !== '' && other !== pid)
      if (group === to) left.push(pid)
      this.files.set(`${group}/cgroup.procs`, left.map((one) => `${one}\n`).join(''))
    }
  }

  #add(directory: string, controllers: readonly string[]): void {
    this.#groups.add(directory)
    const files: Record<string, string> = {
      'cgroup.procs': '',
      'cgroup.type': 'domain\n',
      'cgroup.controllers': `${controllers.join(' ')}\n`,
      'cgroup.subtree_control': '',
      'cgroup.kill': '',
      'cpu.stat': 'usage_usec 2500000\nuser_usec 1\n',
      ...(controllers.includes('memory') && {
        'memory.max': 'max',
        'memory.swap.max': 'max',
        'memory.current': '1000\n',
        'memory.peak': '2000\n',
        'memory.events': 'low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n',
      }),
      ...(controllers.includes('pids') && {
        'pids.max': 'max',
        'pids.current': '3\n',
        'pids.events': 'max 0\n',
      }),
      ...(controllers.includes('cpu') && {
        'cpu.max': 'max 100000',
        'cpu.weight': '100',
      }),
    }
    for (const [name, text] of Object.entries(files)) this.files.set(`${directory}/${name}`, text)
  }

  #check(): void {
    if (this.#refusal !== null) throw failure(this.#refusal)
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code })
}
