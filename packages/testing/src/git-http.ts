import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { Transform } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import type { FakeRepository } from './fake-repository.ts'
import { pushRecordVariable } from './fake-repository.ts'
import { gitEnvironment } from './git.ts'
import type { GitHubAction, GitHubState } from './github-gate.ts'
import { callerOf, enter, mayDo, visibleRepository } from './github-gate.ts'

/** A push or a fetch has no business being bigger in a test. */
const bodyBytesMax = 256 * 1024 * 1024
const headBytesMax = 16 * 1024
const backendMs = 120_000

/** Serves git's smart HTTP for the repositories of the state, through `git http-backend`. */
export class GitHttp {
  readonly #state: GitHubState
  readonly #root: string
  /** Git processes and their ends. */
  readonly #running = new Map<ChildProcess, Promise<unknown>>()
  #requests = 0

  constructor(state: GitHubState, root: string) {
    this.#state = state
    this.#root = root
  }

  /** Answers one request; resolves when its answer is written or its connection broken. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/' } = request
    const authorization = request.headers.authorization ?? null
    const route = routeOf(method, path)
    const action = route?.action ?? 'other'
    const verdict = await enter(this.#state, { action, method, path, authorization })
    if (verdict !== undefined && verdict !== 'lose_answer') {
      return refuse(response, verdict.status, verdict.message)
    }
    // Whoever asked died while the request was held: it counts as never arrived.
    if (response.closed) return
    const caller = callerOf(this.#state, authorization)
    const repository = route && visibleRepository(this.#state, { ...route, authorization })
    const isOpen = repository !== undefined && (action === 'fetch' || repository.openPush)
    if (caller === 'impostor' || (caller === 'nobody' && !isOpen)) {
      return refuse(response, 401, 'Invalid username or token.')
    }
    if (route === undefined || repository === undefined) {
      return refuse(response, 404, 'Repository not found.')
    }
    if (!isOpen && !mayDo(caller, { repository, ...needOf(action) })) {
      return refuse(response, 403, 'Write access to repository not granted.')
    }
    await this.#run({ request, response, repository, route, isLost: verdict === 'lose_answer' })
  }

  /** Ends every git process. */
  async close(): Promise<void> {
    for (const child of this.#running.keys()) child.kill('SIGKILL')
    await Promise.all(this.#running.values())
  }

  async #run(o: {
    request: IncomingMessage
    response: ServerResponse
    repository: FakeRepository
    route: Route
    isLost: boolean
  }): Promise<void> {
    this.#requests += 1
    const record = join(this.#root, `push-${this.#requests}`)
    const child = spawn('git', ['http-backend'], {
      env: { ...cgiEnvironment(o), [pushRecordVariable]: record },
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: backendMs,
    })
    const ended = once(child, 'close')
    this.#running.set(child, ended)
    // Git may stop reading before the body ends; what it answers then tells why.
    const sent = pipeline(o.request, limit(bodyBytesMax), child.stdin).catch(() => undefined)
    try {
      await (o.isLost ? finished(child.stdout.resume()) : forward(child.stdout, o.response))
    } finally {
      await Promise.all([ended, sent])
      this.#running.delete(child)
      await this.#recordPushes(record, `${o.repository.owner}/${o.repository.name}`)
      // Only now, so that whoever has the whole answer finds the push recorded.
      if (o.isLost) o.response.destroy()
      else o.response.end()
    }
  }

  async #recordPushes(file: string, repository: string): Promise<void> {
    const text = await readFile(file, 'utf8').catch(() => '')
    for (const line of text.split('\n').filter((some) => some !== '')) {
      const [before = '', after = '', ref = ''] = line.split(' ')
      this.#state.pushes.push({ repository, ref, before, after })
    }
    await rm(file, { force: true })
  }
}

interface Route {
  readonly action: GitHubAction
  readonly owner: string
  readonly name: string
  /** The part after the repository, with its query. */
  readonly rest: string
}

function routeOf(method: string, path: string): Route | undefined {
  const [, owner, name, rest] =
    /^\/([\w.-]+)\/([\w.-]+?)(?:\.git)?\/(info\/refs\?service=git-(?:upload|receive)-pack|git-(?:upload|receive)-pack)$/.exec(
      path,
    ) ?? []
  if (owner === undefined || name === undefined || rest === undefined) return undefined
  const isLook = rest.startsWith('info/refs')
  if (method !== (isLook ? 'GET' : 'POST')) return undefined
  const action = rest.includes('upload') ? 'fetch' : isLook ? 'push_refs' : 'push'
  return { action, owner, name, rest }
}

function cgiEnvironment(o: {
  request: IncomingMessage
  repository: FakeRepository
  route: Route
}): Record<string, string> {
  const { headers, method = 'GET' } = o.request
  const [path = '', query = ''] = o.route.rest.split('?')
  return {
    ...gitEnvironment(),
    GIT_PROJECT_ROOT: o.repository.directory,
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: `/${path}`,
    QUERY_STRING: query,
    REQUEST_METHOD: method,
    REMOTE_USER: 'octavia',
    REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: headers['content-type'] ?? '',
    ...(headers['content-length'] && { CONTENT_LENGTH: headers['content-length'] }),
    ...(headers['content-encoding'] && { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
    ...(headers['git-protocol'] && { GIT_PROTOCOL: String(headers['git-protocol']) }),
  }
}

/** Gives CGI output, which begins with header lines of its own, as the response, not ended yet. */
async function forward(output: Readable, response: ServerResponse): Promise<void> {
  const body = (chunks: AsyncIterable<Buffer>) => withoutHead(chunks, response)
  await pipeline(output, body, response, { end: false })
}

async function* withoutHead(
  chunks: AsyncIterable<Buffer>,
  response: ServerResponse,
): AsyncIterable<Buffer> {
  let head: Buffer | null = Buffer.alloc(0)
  for await (const chunk of chunks) {
    if (head === null) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end >= 0) {
      writeHead(head.subarray(0, end).toString('latin1'), response)
      yield head.subarray(end + 4)
      head = null
    } else if (head.length > headBytesMax) {
      throw new Error('git http-backend gave no header')
    }
  }
}

function writeHead(head: string, response: ServerResponse): void {
  for (const line of head.split('\r\n')) {
    const [, name = '', value = ''] = /^([^:]+): *(.*)$/.exec(line) ?? []
    if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10)
    else if (name !== '') response.setHeader(name, value)
  }
}

function needOf(action: GitHubAction) {
  const level = action === 'fetch' ? ('read' as const) : ('write' as const)
  return { permissions: ['contents'], level }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const ask = status === 401 ? { 'www-authenticate': 'Basic realm="GitHub"' } : {}
  response.writeHead(status, { 'content-type': 'text/plain', ...ask }).end(`${message}\n`)
}

function limit(bytesMax: number): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > bytesMax ? new Error(`the body is over ${bytesMax} bytes`) : null, chunk)
    },
  })
}
