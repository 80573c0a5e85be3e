import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { z } from 'zod'
import { type Toolbox, type ToolCall, toolServer } from '../../../src/agent/tools/server.ts'
import type { Tool } from '../../../src/agent/tools/tool.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { createLog } from '../../../src/log.ts'

const answer = z.object({
  content: z.tuple([z.object({ type: z.literal('text'), text: z.string() })]),
  isError: z.boolean(),
})

/** Tools behind their server, called as the CLI calls them. */
export interface ToolClient extends AsyncDisposable {
  readonly client: Client
  /** What was observed. */
  readonly calls: ToolCall[]
  /** The answer's text, after `error: ` if it is one. */
  call(name: string, input?: Record<string, unknown>, signal?: AbortSignal): Promise<string>
}

export async function connectTools(
  tools: readonly Tool[],
  o: { policy?: Toolbox['policy']; clock?: Clock; signal?: AbortSignal } = {},
): Promise<ToolClient> {
  const calls: ToolCall[] = []
  const { instance } = toolServer({
    ...{ tools, policy: o.policy ?? (() => 'allow'), observe: (call) => calls.push(call) },
    ...{ clock: o.clock ?? systemClock, log: createLog('silent'), sessionId: 'sesn_test' },
    signal: o.signal ?? new AbortController().signal,
  })
  const [near, far] = InMemoryTransport.createLinkedPair()
  const client = new Client({ name: 'test', version: '1' })
  await Promise.all([instance.connect(far), client.connect(near)])
  return {
    client,
    calls,
    async call(name, input = {}, signal) {
      const options = signal === undefined ? {} : { signal }
      const given = await client.callTool({ name, arguments: input }, undefined, options)
      const { content, isError } = answer.parse(given)
      return `${isError ? 'error: ' : ''}${content[0].text}`
    },
    [Symbol.asyncDispose]: () => client.close(),
  }
}
