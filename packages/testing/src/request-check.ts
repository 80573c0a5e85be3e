import type { WireBlock, WireRequest } from './wire.ts'

/**
 * What the real API would refuse in a request, each as a sentence: a model, a token limit, roles in
 * turn beginning and ending with the user's, and a result for every tool call in the next message.
 */
export function findViolations(request: WireRequest): string[] {
  const found: string[] = []
  if (request.model === '') found.push('model: a model is required')
  if (!(request.maxTokens > 0)) found.push('max_tokens: a positive number is required')
  const messages = request.messages.filter((message) => message.role !== 'system')
  if (messages.length === 0) return [...found, 'messages: at least one message is required']

  let pending: readonly string[] = []
  messages.forEach(({ role, content }, n) => {
    const expected = n % 2 === 0 ? 'user' : 'assistant'
    if (role !== expected) found.push(`messages.${n}: the role is ${role}, not ${expected}`)
    if (content.length === 0) found.push(`messages.${n}: the content is empty`)
    found.push(...unmatchedResults(content, pending).map((what) => `messages.${n}: ${what}`))
    pending = idsOf(content, 'tool_use')
  })
  if (messages.at(-1)?.role !== 'user') found.push('messages: the last message is not the user’s')
  return found
}

function unmatchedResults(content: readonly WireBlock[], pending: readonly string[]): string[] {
  const results = idsOf(content, 'tool_result')
  return [
    ...pending
      .filter((id) => !results.includes(id))
      .map((id) => `tool_use ${id} has no tool_result in the message after it`),
    ...results
      .filter((id) => !pending.includes(id))
      .map((id) => `tool_result ${id} has no tool_use in the message before it`),
    ...results
      .filter((id, at) => results.indexOf(id) !== at)
      .map((id) => `tool_use ${id} has more than one tool_result`),
  ]
}

function idsOf(content: readonly WireBlock[], type: 'tool_use' | 'tool_result'): string[] {
  return content
    .filter((block) => block.type === type)
    .map((block) => (type === 'tool_use' ? block.id : block.tool_use_id) ?? '')
}
