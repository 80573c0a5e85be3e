import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { BoundedOutput } from '../sandbox/output.ts'
import { ContextRefused, writeContext } from './docker-context.ts'
import { type DockerEngine, EngineClient, EngineRefused } from './docker-engine.ts'
import { checkDockerfile } from './dockerfile.ts'
import { withLimit } from './limits.ts'

/** Of a build step, and of a container. */
const memoryBytes = 1024 ** 3
const processesMax = 256
const cpuPeriodUs = 100_000
/** What of a build's or a container's output is kept: its beginning and, more, its end. */
const outputBytesMax = 64 * 1024
/** Bytes that the engine keeps of what a container prints. */
const logSize = '1m'
const imagesMax = 8
/** Builds and containers at once. */
const workingMax = 2
const lineBytesMax = 1024 * 1024
const label = 'longhaul.session'

/** What came of it, in words for the agent. */
export interface DockerOutcome {
  readonly ok: boolean
  readonly text: string
}

interface Limits {
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Images and containers of one session, on the operator's engine. All that it makes carries the
 * session's label; nothing else on the engine can be named. No mount of the host, no privilege, no
 * network: a container is a place to run what was built, not a way out.
 */
export class Docker {
  readonly #client: EngineClient
  readonly #sessionId: string
  readonly #baseImages: readonly string[]
  readonly #clock: Clock
  readonly #log: Log
  #working = 0

  constructor(o: {
    readonly engine: DockerEngine
    readonly baseImages: readonly string[]
    readonly sessionId: string
    readonly clock: Clock
    readonly log: Log
  }) {
    this.#client = new EngineClient(o)
    this.#sessionId = o.sessionId
    this.#baseImages = o.baseImages
    this.#clock = o.clock
    this.#log = o.log
  }

  /** Builds an image from a tar of files, by a Dockerfile that is checked and rewritten. */
  async build(
    o: Limits & {
      readonly name: string
      readonly dockerfile: string
      readonly tar: () => Readable
    },
  ): Promise<DockerOutcome> {
    const checked = checkDockerfile(o.dockerfile, {
      allowed: this.#baseImages,
      label: { name: label, value: this.#sessionId },
    })
    if ('problem' in checked) return refused(`The Dockerfile cannot be built. ${checked.problem}`)
    return this.#work(o.signal, async () => {
      const images = await this.#images(o.signal)
      if (images.filter(isNamed).length >= imagesMax)
        return refused(`There are ${imagesMax} images already; remove one first.`)
      await this.#removeNameless(images, o.signal)
      const name = `.dockerfile-${randomUUID()}`
      const dockerfile = { name, text: checked.text }
      const { context, done } = writeContext({ tar: o.tar(), dockerfile, signal: o.signal })
      const query = this.#buildQuery({ image: this.#imageOf(o.name), dockerfile: name })
      const [answer] = await Promise.allSettled([
        this.#within(o, (signal, timeoutMs) => {
          const upload = { method: 'POST', path: '/build', query, body: context } as const
          return this.#client.stream({ ...upload, timeoutMs, signal }, readBuild)
        }),
      ])
      context.destroy()
      const [sent] = await Promise.allSettled([done])
      if (sent.status === 'rejected' && sent.reason instanceof ContextRefused) throw sent.reason
      if (answer.status === 'rejected') throw answer.reason
      if (answer.value === null)
        return refused(`The build took longer than ${o.timeoutMs / 1000} s.`)
      const { error, output } = answer.value
      if (error !== null) return refused(`${output}\nThe build failed: ${error}`)
      return { ok: true, text: `${output}\nBuilt ${o.name}.` }
    })
  }

  /** Runs a container of an image of this session to its end, and removes it. */
  async run(
    o: Limits & { readonly name: string; readonly command: readonly string[] },
  ): Promise<DockerOutcome> {
    return this.#work(o.signal, async () => {
      const path = `/images/${this.#imageOf(o.name)}/json`
      const found = await this.#client.json({ method: 'GET', path, signal: o.signal })
      const { Id: image } = z.object({ Id: z.string() }).parse(found)
      const body = { ...containerOf(image, o.command), Labels: this.#labels }
      const made = await this.#client.json({
        ...{ method: 'POST', path: '/containers/create', body, signal: o.signal },
      })
      const { Id: id } = z.object({ Id: z.string().regex(/^[0-9a-f]{12,64}$/) }).parse(made)
      try {
        return await this.#runToEnd(id, o)
      } finally {
        // The attempt may be over; a container that is left is removed at its end.
        await this.#remove(`/containers/${id}`, new AbortController().signal)
      }
    })
  }

  /** Removes an image of this session. */
  async remove(o: { readonly name: string; readonly signal: AbortSignal }): Promise<DockerOutcome> {
    return this.#told(o.signal, async () => {
      const path = `/images/${this.#imageOf(o.name)}`
      await this.#client.json({ method: 'DELETE', path, query: { force: '1' }, signal: o.signal })
      return { ok: true, text: `Removed ${o.name}.` }
    })
  }

  /** Removes every container and image of the session, within bounds. What cannot be is logged. */
  async clean(): Promise<void> {
    const { signal } = new AbortController()
    const limit = { clock: this.#clock, ms: cleanMs, signal, what: 'cleaning up' }
    try {
      await withLimit(limit, (limited) => this.#removeAll(limited))
    } catch (error) {
      this.#log.warn({ err: error, sessionId: this.#sessionId }, 'containers or images may be left')
    }
  }

  async #removeAll(signal: AbortSignal): Promise<void> {
    const query = { all: '1', filters: this.#filters }
    const path = '/containers/json'
    const containers = ids.parse(await this.#client.json({ method: 'GET', path, query, signal }))
    for (const { Id } of containers) await this.#remove(`/containers/${Id}`, signal)
    for (const { Id } of await this.#images(signal)) await this.#remove(`/images/${Id}`, signal)
  }

  async #runToEnd(id: string, o: Limits & { readonly name: string }): Promise<DockerOutcome> {
    const { signal } = o
    await this.#client.json({ method: 'POST', path: `/containers/${id}/start`, signal })
    const exitCode = await this.#exitOf(id, o)
    if (exitCode === null)
      await this.#client.json({ method: 'POST', path: `/containers/${id}/kill`, signal })
    const query = { stdout: '1', stderr: '1' }
    const path = `/containers/${id}/logs`
    const printed = textOf(await this.#client.bytes({ method: 'GET', path, query, signal }))
    if (exitCode === null)
      return refused(`It took longer than ${o.timeoutMs / 1000} s and was killed.\n${printed}`)
    if (exitCode !== 0) return refused(`It ended with exit code ${exitCode}.\n${printed}`)
    return { ok: true, text: printed === '' ? 'It printed nothing.' : printed }
  }

  /** Null: it did not end in time. */
  async #exitOf(id: string, limits: Limits): Promise<number | null> {
    const path = `/containers/${id}/wait`
    const ended = await this.#within(limits, (signal, timeoutMs) =>
      this.#client.json({ method: 'POST', path, timeoutMs, signal }),
    )
    return ended === null ? null : z.object({ StatusCode: z.int() }).parse(ended).StatusCode
  }

  /** Null: it took too long. A request in it has a longer limit of its own. */
  async #within<T>(
    { timeoutMs, signal }: Limits,
    run: (signal: AbortSignal, requestMs: number) => Promise<T>,
  ): Promise<T | null> {
    const late = new AbortController()
    using _ = this.#clock.after(timeoutMs, () => late.abort(new Error('it took too long')))
    try {
      return await run(AbortSignal.any([signal, late.signal]), 2 * timeoutMs)
    } catch (error) {
      if (late.signal.aborted && !signal.aborted) return null
      throw error
    }
  }

  /** What builds that failed, earlier stages and replaced images left, unless somebody may need it now. */
  async #removeNameless(images: readonly Image[], signal: AbortSignal): Promise<void> {
    if (this.#working > 1) return
    for (const image of images)
      if (!isNamed(image)) await this.#remove(`/images/${image.Id}`, signal)
  }

  async #images(signal: AbortSignal): Promise<z.infer<typeof ids>> {
    const query = { filters: this.#filters }
    return ids.parse(
      await this.#client.json({ method: 'GET', path: '/images/json', query, signal }),
    )
  }

  /** Of a container, with its volumes, or an image; one that is gone already is as good. */
  async #remove(path: string, signal: AbortSignal): Promise<void> {
    const query = { force: '1', ...(path.startsWith('/containers/') ? { v: '1' } : {}) }
    try {
      await this.#client.json({ method: 'DELETE', path, query, signal })
    } catch (error) {
      if (!(error instanceof EngineRefused && error.status === 404))
        this.#log.warn({ err: error, path }, 'something of the Docker engine was not removed')
    }
  }

  /** What takes long, and room on the engine. */
  async #work(signal: AbortSignal, what: () => Promise<DockerOutcome>): Promise<DockerOutcome> {
    if (this.#working >= workingMax)
      return refused(`More than ${workingMax} builds and containers at once; wait for their ends.`)
    this.#working += 1
    try {
      return await this.#told(signal, what)
    } finally {
      this.#working -= 1
    }
  }

  /** What the engine refuses, and that it does not answer, the agent is told. */
  async #told(signal: AbortSignal, what: () => Promise<DockerOutcome>): Promise<DockerOutcome> {
    try {
      return await what()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof EngineRefused || error instanceof ContextRefused)
        return refused(error.message)
      this.#log.warn({ err: error, sessionId: this.#sessionId }, 'the Docker engine failed')
      return refused('The Docker engine does not answer, or not as it should.')
    }
  }

  #buildQuery(o: { readonly image: string; readonly dockerfile: string }) {
    return {
      t: o.image,
      dockerfile: o.dockerfile,
      labels: JSON.stringify(this.#labels),
      networkmode: 'none',
      memory: String(memoryBytes),
      memswap: String(memoryBytes),
      cpuperiod: String(cpuPeriodUs),
      cpuquota: String(cpuPeriodUs),
      rm: '1',
      forcerm: '1',
      // The classic builder: no frontend images, no mounts, no other readings of the file.
      version: '1',
    }
  }

  #imageOf(name: string): string {
    return `longhaul/${this.#sessionId}:${name}`
  }

  get #labels(): Record<string, string> {
    return { [label]: this.#sessionId }
  }

  get #filters(): string {
    return JSON.stringify({ label: [`${label}=${this.#sessionId}`] })
  }
}

/** What is left after it is removed by the session's next attempt. */
const cleanMs = 20_000
const ids = z.array(
  z.object({
    Id: z.string().regex(/^[\w:]{1,100}$/),
    /** Of an image: empty, or null, for one that no name leads to. */
    RepoTags: z.array(z.string()).nullish(),
  }),
)

type Image = z.infer<typeof ids>[number]

function isNamed({ RepoTags }: Image): boolean {
  return (RepoTags ?? []).some((tag) => tag !== '<none>:<none>')
}

/** Everything that a container may be refused, is. */
function containerOf(image: string, command: readonly string[]): object {
  return {
    Image: image,
    ...(command.length === 0 ? {} : { Cmd: command }),
    Tty: false,
    OpenStdin: false,
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      IpcMode: 'private',
      CgroupnsMode: 'private',
      Privileged: false,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      CpuPeriod: cpuPeriodUs,
      CpuQuota: cpuPeriodUs,
      PidsLimit: processesMax,
      LogConfig: { Type: 'json-file', Config: { 'max-size': logSize, 'max-file': '1' } },
    },
  }
}

/** A build's answer: a line of JSON for each thing that it says. */
async function readBuild(
  answer: IncomingMessage,
): Promise<{ readonly error: string | null; readonly output: string }> {
  const output = new BoundedOutput(outputBytesMax)
  let error: string | null = null
  let open = ''
  answer.setEncoding('utf8')
  for await (const chunk of answer) {
    const lines = `${open}${chunk}`.split('\n')
    open = lines.pop() ?? ''
    if (open.length > lineBytesMax) throw new Error('a line of the build is too long')
    for (const line of lines.filter((each) => each.trim() !== '')) {
      const said = buildLine.parse(JSON.parse(line))
      if (said.stream !== undefined) output.write(Buffer.from(said.stream))
      error ??= said.error?.slice(0, 2000) ?? null
    }
  }
  return { error, output: output.toString().trim() }
}

const buildLine = z.object({ stream: z.string().optional(), error: z.string().optional() })

/** Both streams, as the engine frames them: one byte for which, three of nothing, four of length. */
function textOf(framed: Buffer): string {
  const output = new BoundedOutput(outputBytesMax)
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4)
    output.write(framed.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return output.toString().trim()
}

function refused(text: string): DockerOutcome {
  return { ok: false, text }
}
