import { type Fields, fieldsOf, listOf, textOf } from './fields.ts'

/**
 * Whether these entries of a transcript hold an answer of the model with the results of all the calls
 * in it. One whose result is missing was cut off, perhaps by what it called.
 */
export function hasFinishedTurn(entries: readonly Fields[]): boolean {
  const calls = new Map<string, string[]>()
  const results = new Set<string>()
  for (const entry of entries) {
    const message = fieldsOf(entry['message'])
    for (const block of listOf(message['content']).map(fieldsOf)) {
      if (block['type'] === 'tool_result') results.add(textOf(block['tool_use_id']))
      if (block['type'] !== 'tool_use') continue
      // The blocks of one answer are entries of their own.
      const answer = textOf(message['id'])
      calls.set(answer, [...(calls.get(answer) ?? []), textOf(block['id'])])
    }
  }
  return [...calls.values()].some((its) => its.every((id) => results.has(id)))
}
