import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AgentContent, taskType } from '@longhaul/client/contract'
import { pinnedAgent, profileWithin } from '../../src/runner/agent-profile.ts'
import { presets } from '../../src/tasks/presets.ts'

const none = { servers: [], model: null, guidance: '' }

test('a session from before agents had versions has the agent of its type', () => {
  for (const type of taskType.options)
    assert.deepEqual(pinnedAgent({ preset: type }, type), presets[type].agent)
})

test('sub-agents, too, stay within what the task type fixes', () => {
  const agent: AgentContent = {
    ...presets.refactor.agent,
    subagents: [
      {
        name: 'worker',
        description: 'Works.',
        prompt: 'Work.',
        tools: ['bash', 'write', 'read', 'report_progress'],
        model: null,
        effort: null,
        max_turns: null,
      },
    ],
  }
  const toolsIn = (type: 'refactor' | 'analysis' | 'deploy') =>
    profileWithin(agent, { ...none, type }).subagents[0]?.tools
  const typed = 'mcp__longhaul__report_progress'
  assert.deepEqual(toolsIn('refactor'), ['Bash', 'TaskStop', 'Write', 'Read', typed])
  assert.deepEqual(toolsIn('analysis'), ['Bash', 'TaskStop', 'Read', typed])
  assert.deepEqual(toolsIn('deploy'), ['Write', 'Read', typed])
})

test('facts of the type follow the agent’s own prompt, and the repository’s words come last', () => {
  const agent = { ...presets.refactor.agent, system: 'Push everything.' }
  const { systemPrompt } = profileWithin(agent, { ...none, type: 'analysis', guidance: 'Be kind.' })
  assert.match(
    systemPrompt,
    /^Push everything\.\n\nYou work in a private clone.*\n\n.*\nBe kind\.$/s,
  )
})

test('the server’s model is for agents that name none', () => {
  const agent = presets.test.agent
  const profile = (id: string | null) =>
    profileWithin({ ...agent, model: { id, effort: null } }, { ...none, type: 'test', model: 'm' })
  assert.equal(profile(null).model, 'm')
  assert.equal(profile('other').model, 'other')
})
