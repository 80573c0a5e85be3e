import { type Agent, openAgent } from '../agent/open.ts'
import type { CodeParser } from '../agent/tools/code/parser.ts'
import { getSession } from '../store/sessions.ts'
import { pinnedAgent, profileWithin } from './agent-profile.ts'
import { pinnedEnvironment } from './environment.ts'
import { permissionOf } from './permission.ts'
import type { Attempt } from './phase.ts'
import { ToolCalls } from './tool-calls.ts'
import { toolboxOf } from './toolbox.ts'

/** No message of the SDK for this long is a stall: its own watchdogs act within five minutes. */
const stallMs = 7 * 60_000

/** Starts the attempt's agent, or takes its conversation up again. */
export async function openAgentOf(attempt: Attempt, parser: CodeParser): Promise<Agent> {
  const { deps, lease, task, workspace, journal, transcript, writer, deadline } = attempt
  const session = await getSession(deps.store.db, lease.sessionId)
  if (session === undefined) throw new Error(`no session ${lease.sessionId}`)
  const { type } = task
  const agent = pinnedAgent(session.agent, type)
  const environment = pinnedEnvironment(session.environment)
  const toolbox = toolboxOf(attempt, { agent, environment, parser })
  const servers = toolbox.servers.map(({ name }) => name)
  const guidance = await attempt.guidance.of(journal.progress.base?.commit ?? 'HEAD')
  const calls = new ToolCalls(deps)
  const profile = profileWithin(agent, { type, servers, model: deps.config.model.name, guidance })
  const { sessionId } = lease
  const { tools } = profile
  return openAgent({
    sandbox: workspace.sandbox,
    sessionId,
    conversationId: session.conversation_id,
    profile,
    permission: await permissionOf(deps.store.db, { sessionId, agent, toolbox, tools }),
    toolbox,
    transcript,
    bashTimeoutMs: deps.config.bashTimeoutMs,
    deadline,
    // A writer that lost its lease has told `onLost`, which stops this attempt.
    emit: (event) => {
      calls.saw(event)
      // Each of a turn's calls: what is due already is not due twice.
      if (event.type.endsWith('tool_result')) attempt.checkpoints.due()
      return writer.write(event).catch(() => undefined)
    },
    scrubber: deps.credentials.scrubber,
    delta: (event) => deps.live.delta(sessionId, event),
    afterTool: () => attempt.limitNotes.look()?.message ?? null,
    stallMs,
    clock: deps.clock,
    log: deps.log,
    signal: workspace.signal,
  })
}
