import { once } from 'node:events'
import { chown, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { type Scenario, type ScriptedModel, startScriptedModel } from '@longhaul/testing'
import type { Agent, AgentOptions } from '../../src/agent/agent.ts'
import { openAgent } from '../../src/agent/open.ts'
import type { AgentProfile } from '../../src/agent/options.ts'
import type { Permission } from '../../src/agent/permissions.ts'
import { Transcript } from '../../src/agent/transcript.ts'
import { systemClock } from '../../src/clock.ts'
import type { NewEvent } from '../../src/events/append.ts'
import { uuidOf } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { createSandboxDriver } from '../../src/sandbox/create.ts'
import type { Sandbox } from '../../src/sandbox/driver.ts'
import { defaultLimits } from '../../src/sandbox/limits.ts'
import type { Store } from '../../src/store/open.ts'
import { claimSession } from '../../src/store/sessions.ts'
import { makeDirectory } from '../support/postgres.ts'
import { makeSession } from '../support/sessions.ts'

const log = createLog('silent')
/** A model request waits this long for the transcript of the turn before it. */
const storedMsMax = 60_000

export const testProfile: AgentProfile = {
  model: null,
  effort: null,
  systemPrompt: 'You work in a test.',
  tools: ['Bash', 'Read', 'Edit', 'Write', 'Agent'],
  subagents: [],
  maxTurns: 20,
  readOnly: false,
}

/** Every call is made. */
const freely: Permission = {
  nameOf: (tool) => tool,
  access: () => 'allow',
  denied: [],
  asks: false,
  decided: [],
}

/** A session with a scripted model behind the only way out of its sandboxes. */
export interface Stage extends AsyncDisposable {
  readonly sessionId: string
  readonly model: ScriptedModel
  /** What agents of this stage said, in its order. */
  readonly events: NewEvent[]
  readonly deltas: NewEvent[]
  /** The texts and tool results of `events`, for reading. */
  said(type: string): string[]
  /** A sandbox of the session, in fresh directories: another node. */
  sandbox(): Promise<Sandbox>
  /** The next attempt's transcript. */
  transcript(): Promise<Transcript>
  open(o: Pick<AgentOptions, 'sandbox' | 'transcript'> & Partial<AgentOptions>): Promise<Agent>
}

/** Sets up a stage; disposing ends every process of it and removes its directories. */
export async function setStage(o: {
  readonly store: Store
  readonly kind: 'bubblewrap' | 'none'
  readonly scenarios: readonly Scenario[]
}): Promise<Stage> {
  const stack = new AsyncDisposableStack()
  const model = stack.use(await startScriptedModel({ scenarios: o.scenarios }))
  const sessionId = await makeSession(o.store.db)
  const events: NewEvent[] = []
  const deltas: NewEvent[] = []
  let transcript: Transcript | null = null
  const isStored = (ids: string[]) =>
    transcript?.waitFor(ids, { timeoutMs: storedMsMax, clock: systemClock })

  return {
    sessionId,
    model,
    events,
    deltas,
    said: (type) => events.filter((event) => event.type === type).flatMap(textsIn),
    async sandbox() {
      const dataDir = stack.use(await makeDirectory()).path
      const driver = createSandboxDriver({ kind: o.kind, dataDir, log, clock: systemClock })
      const directory = join(dataDir, 'sessions', sessionId)
      const sandbox = await driver.open({
        ...{ sessionId, directory, slot: 1, env: {}, gitRewrite: [] },
        limits: defaultLimits,
      })
      stack.defer(() => sandbox.destroy())
      stack.use(await openWayOut({ sandbox, model, isStored }))
      return sandbox
    },
    async transcript() {
      const claim = { id: sessionId, node: 'node-1', now: new Date() }
      const { attempt } = await claimSession(o.store.db, claim)
      transcript = new Transcript({
        ...{ store: o.store, sessionId, attempt, clock: systemClock, log },
        signal: new AbortController().signal,
      })
      return transcript
    },
    open: (given) =>
      openAgent({
        sessionId,
        conversationId: uuidOf(sessionId),
        profile: testProfile,
        permission: freely,
        toolbox: { tools: [], servers: [], policy: () => 'allow', observe: () => undefined },
        bashTimeoutMs: 60_000,
        deadline: (given?.clock ?? systemClock).elapsed() + 600_000,
        emit: async (event) => void events.push(event),
        delta: (event) => deltas.push(event),
        stallMs: 420_000,
        afterTool: () => null,
        clock: systemClock,
        log,
        signal: new AbortController().signal,
        ...given,
      }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Texts of an event's content, and its tool call in words. */
function textsIn(event: NewEvent): string[] {
  const content = Array.isArray(event['content']) ? event['content'] : []
  return content.map((block: { text?: string }) => block.text ?? '')
}

/** What the gateway does for an agent, in little: holds back, adds the key, passes on. */
async function openWayOut(o: {
  readonly sandbox: Sandbox
  readonly model: ScriptedModel
  readonly isStored: (toolUseIds: string[]) => Promise<void> | undefined
}): Promise<AsyncDisposable> {
  const { gatewaySocket } = o.sandbox.paths
  const forward = async (from: IncomingMessage, to: ServerResponse): Promise<void> => {
    const body = await readText(from)
    await o.isStored(toolUsesOf(body))
    const url = `${o.model.url}${from.url?.replace(/^\/anthropic/, '')}`
    const headers = { ...from.headers, 'x-api-key': o.model.apiKey, host: new URL(url).host }
    const onward = request(url, { method: from.method ?? 'GET', headers }).end(body)
    to.once('close', () => onward.destroy())
    const [answer] = (await once(onward, 'response')) as [IncomingMessage]
    to.writeHead(answer.statusCode ?? 502, answer.headers)
    await pipeline(answer, to)
  }
  const server = createServer((from, to) => void forward(from, to).catch(() => to.destroy()))
  server.listen(gatewaySocket)
  await once(server, 'listening')
  if (o.sandbox.uid !== null) await chown(gatewaySocket, o.sandbox.uid, o.sandbox.uid)
  return {
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
      await rm(gatewaySocket, { force: true })
    },
  }
}

/** Every tool call that a request carries: all must be stored before it is passed on. */
function toolUsesOf(body: string): string[] {
  if (body === '') return []
  const { messages = [] } = JSON.parse(body) as { messages?: { content: unknown }[] }
  return messages
    .flatMap(({ content }): { type?: string; id?: string }[] =>
      Array.isArray(content) ? content : [],
    )
    .flatMap(({ type, id }) => (type === 'tool_use' && id !== undefined ? [id] : []))
}
