import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type DockerBuild, readContext } from './docker-context.ts'
import { refusalOfBuild, refusalOfContainer } from './docker-rules.ts'
import { stagesOf } from './docker-stages.ts'
import { listen, readBody, sendJson, stop } from './loopback.ts'

/** What a container does, once it is started. */
export interface ContainerEnd {
  readonly exitCode?: number
  readonly stdout?: string
  readonly stderr?: string
  /** It goes on until it is killed. */
  readonly runs?: boolean
}

/** Settings of a fake Docker engine. */
export interface FakeDockerOptions {
  /** Images that can be built from, with their tags. */
  readonly images?: readonly string[]
  /** Decides what a container does; default: it ends with 0 and prints nothing. */
  readonly run?: (o: {
    readonly command: readonly string[]
    readonly build: DockerBuild
  }) => ContainerEnd
}

/**
 * A Docker engine on loopback that runs nothing: it keeps images and containers as the engine's API
 * (1.44, classic builder) does, in the few routes that building and running takes, and refuses
 * whatever would give a container more of its host than a bounded share.
 */
export interface FakeDocker extends AsyncDisposable {
  readonly url: string
  /** Every build that was taken, oldest first. */
  readonly builds: readonly DockerBuild[]
  /** What was refused, as `POST /containers/create: Privileged is not allowed`. */
  readonly refusals: readonly string[]
  /** Names of the images that there are, base images aside; of those without one, their ids. */
  images(): string[]
  /** Ids of the containers that there are. */
  containers(): string[]
  close(): Promise<void>
}

interface Image {
  readonly id: string
  readonly names: Set<string>
  readonly build: DockerBuild
}

interface Container {
  readonly id: string
  readonly image: Image
  readonly labels: Readonly<Record<string, string>>
  readonly command: readonly string[]
  state: 'created' | 'running' | 'exited'
  end: ContainerEnd
  readonly exited: PromiseWithResolvers<number>
}

interface State {
  readonly bases: readonly string[]
  readonly run: NonNullable<FakeDockerOptions['run']>
  readonly builds: DockerBuild[]
  readonly refusals: string[]
  readonly images: Map<string, Image>
  readonly containers: Map<string, Container>
}

const jsonBytesMax = 1024 * 1024

/** Starts a fake Docker engine. */
export async function startFakeDocker(options: FakeDockerOptions = {}): Promise<FakeDocker> {
  const state: State = {
    bases: options.images ?? [],
    run: options.run ?? (() => ({})),
    builds: [],
    refusals: [],
    images: new Map(),
    containers: new Map(),
  }
  const server = createServer((request, response) => {
    answer(state, { request, response }).catch((error) => response.destroy(error))
  })
  const url = await listen(server)
  const close = (): Promise<void> => stop(server)
  return {
    url,
    builds: state.builds,
    refusals: state.refusals,
    images: () =>
      [...state.images.values()].flatMap(({ id, names }) => (names.size === 0 ? [id] : [...names])),
    containers: () => [...state.containers.keys()],
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** An error of the engine's: a status and its words. */
class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
  /** What the path names: an id or a name. */
  readonly name: string
}

type Route = (state: State, o: Exchange) => Promise<void> | void

async function answer(
  state: State,
  o: { readonly request: IncomingMessage; readonly response: ServerResponse },
): Promise<void> {
  const url = new URL(o.request.url ?? '/', 'http://docker')
  const asked = `${o.request.method} ${url.pathname.replace(/^\/v1\.44/, '')}`
  try {
    for (const [pattern, route] of routes) {
      const found = pattern.exec(asked)
      const query = url.searchParams
      if (found !== null) return await route(state, { ...o, query, name: found[1] ?? '' })
    }
    throw new Refusal(404, 'page not found')
  } catch (error) {
    const { status, message } = error instanceof Refusal ? error : new Refusal(500, String(error))
    if (status === 403) state.refusals.push(`${asked}: ${message}`)
    o.request.resume()
    if (!o.response.headersSent) sendJson(o.response, status, { message })
  }
}

const routes: readonly (readonly [RegExp, Route])[] = [
  [/^POST \/build$/, build],
  [/^GET \/images\/json$/, listImages],
  [/^GET \/images\/(.+)\/json$/, inspectImage],
  [/^DELETE \/images\/(.+)$/, removeImage],
  [/^POST \/containers\/create$/, createContainer],
  [/^GET \/containers\/json$/, listContainers],
  [/^POST \/containers\/([^/]+)\/start$/, startContainer],
  [/^POST \/containers\/([^/]+)\/wait$/, waitForContainer],
  [/^POST \/containers\/([^/]+)\/kill$/, killContainer],
  [/^GET \/containers\/([^/]+)\/logs$/, logsOfContainer],
  [/^DELETE \/containers\/([^/]+)$/, removeContainer],
]

/** As the classic builder: it takes the whole context, then says what it does, a line each. */
async function build(state: State, { request, response, query }: Exchange): Promise<void> {
  const refusal = refusalOfBuild(query)
  if (refusal !== null) throw new Refusal(403, refusal)
  const labels: Record<string, string> = JSON.parse(query.get('labels') ?? '{}')
  const made = await readContext(request, {
    dockerfile: query.get('dockerfile') ?? 'Dockerfile',
    labels,
  })
  response.writeHead(200, { 'content-type': 'application/json' })
  const say = (line: object): boolean => response.write(`${JSON.stringify(line)}\r\n`)
  const { stages, problem } = stagesOf(made, state.bases)
  // Nothing has the labels of the query but what the build is for.
  for (const { labels: own, steps } of problem === null ? stages.slice(0, -1) : stages)
    if (steps > 0) addImage(state, { names: [], build: { ...made, labels: own } })
  if (problem !== null) {
    say({ errorDetail: { message: problem }, error: problem })
    response.end()
    return
  }
  state.builds.push(made)
  const steps = made.text.trim().split('\n')
  for (const [index, step] of steps.entries())
    say({ stream: `Step ${index + 1}/${steps.length} : ${step}\n` })
  const name = query.get('t') ?? ''
  for (const { names } of state.images.values()) names.delete(name)
  const id = addImage(state, {
    names: [name],
    build: { ...made, labels: { ...stages.at(-1)?.labels, ...labels } },
  })
  say({ aux: { ID: id } })
  say({ stream: `Successfully built ${id.slice(7, 19)}\n` })
  response.end()
}

function addImage(
  { images }: State,
  o: { readonly names: readonly string[]; readonly build: DockerBuild },
): string {
  const id = `sha256:${createHash('sha256').update(randomBytes(16)).digest('hex')}`
  images.set(id, { id, names: new Set(o.names), build: o.build })
  return id
}

function listImages({ images }: State, { response, query }: Exchange): void {
  const found = [...images.values()].filter(({ build: made }) => fits(made.labels, query))
  sendJson(
    response,
    200,
    found.map(({ id, names }) => ({ Id: id, RepoTags: [...names] })),
  )
}

function inspectImage(state: State, { response, name }: Exchange): void {
  const { id, build: made } = imageOf(state, name)
  sendJson(response, 200, { Id: id, Config: { Labels: made.labels } })
}

function removeImage(state: State, { response, query, name }: Exchange): void {
  const image = imageOf(state, name)
  const used = [...state.containers.values()].find((container) => container.image === image)
  if (used !== undefined && query.get('force') !== '1')
    throw new Refusal(409, `conflict: container ${used.id} uses it`)
  state.images.delete(image.id)
  sendJson(response, 200, [{ Deleted: image.id }])
}

async function createContainer(state: State, { request, response }: Exchange): Promise<void> {
  const body = JSON.parse((await readBody(request, jsonBytesMax)) ?? '{}')
  const refusal = refusalOfContainer(body)
  if (refusal !== null) throw new Refusal(403, refusal)
  const id = randomBytes(32).toString('hex')
  const image = imageOf(state, String(body.Image))
  state.containers.set(id, {
    ...{ id, image, labels: body.Labels ?? {}, command: body.Cmd ?? [] },
    ...{ state: 'created', end: {}, exited: Promise.withResolvers() },
  })
  sendJson(response, 201, { Id: id, Warnings: [] })
}

function listContainers({ containers }: State, { response, query }: Exchange): void {
  const found = [...containers.values()].filter(
    ({ labels, state }) => fits(labels, query) && (query.get('all') === '1' || state === 'running'),
  )
  sendJson(
    response,
    200,
    found.map(({ id }) => ({ Id: id })),
  )
}

function startContainer(state: State, { response, name }: Exchange): void {
  const container = containerOf(state, name)
  if (container.state !== 'created') throw new Refusal(409, 'it was started before')
  container.state = 'running'
  container.end = state.run({ command: container.command, build: container.image.build })
  if (container.end.runs !== true) exit(container, container.end.exitCode ?? 0)
  response.writeHead(204).end()
}

async function waitForContainer(state: State, { response, name }: Exchange): Promise<void> {
  const container = containerOf(state, name)
  response.writeHead(200, { 'content-type': 'application/json' })
  response.flushHeaders()
  response.end(JSON.stringify({ StatusCode: await container.exited.promise }))
}

function killContainer(state: State, { response, name }: Exchange): void {
  const container = containerOf(state, name)
  if (container.state !== 'running') throw new Refusal(409, 'it is not running')
  exit(container, 137)
  response.writeHead(204).end()
}

function logsOfContainer(state: State, { response, name, query }: Exchange): void {
  const { end } = containerOf(state, name)
  response.writeHead(200, { 'content-type': 'application/vnd.docker.multiplexed-stream' })
  for (const [kind, stream, text] of [
    [1, 'stdout', end.stdout],
    [2, 'stderr', end.stderr],
  ] as const) {
    if (text === undefined || query.get(stream) !== '1') continue
    const bytes = Buffer.from(text)
    const header = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0])
    header.writeUInt32BE(bytes.length, 4)
    response.write(Buffer.concat([header, bytes]))
  }
  response.end()
}

function removeContainer(state: State, { response, name, query }: Exchange): void {
  const container = containerOf(state, name)
  if (container.state === 'running' && query.get('force') !== '1')
    throw new Refusal(409, 'it is running: stop it first')
  exit(container, 137)
  state.containers.delete(container.id)
  response.writeHead(204).end()
}

function exit(container: Container, code: number): void {
  container.state = 'exited'
  container.exited.resolve(code)
}

function imageOf({ images }: State, name: string): Image {
  const found = images.get(name) ?? [...images.values()].find(({ names }) => names.has(name))
  if (found === undefined) throw new Refusal(404, `No such image: ${name}`)
  return found
}

function containerOf({ containers }: State, name: string): Container {
  const found = containers.get(name)
  if (found === undefined) throw new Refusal(404, `No such container: ${name}`)
  return found
}

/** Whether labels fit `filters={"label":["name=value"]}`. */
function fits(labels: Readonly<Record<string, string>>, query: URLSearchParams): boolean {
  const filters: { label?: string[] } = JSON.parse(query.get('filters') ?? '{}')
  return (filters.label ?? []).every((filter) => {
    const [name = '', value] = filter.split('=')
    return labels[name] === value
  })
}
