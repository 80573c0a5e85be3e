/** A message of an event stream. */
interface Message {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly data: string
}

/**
 * Collects what a stream of Server-Sent Events holds, until it ends or breaks off. Our frames are
 * `name: value` lines and a blank line, which is all that this reader knows.
 */
export function collect(body: ReadableStream<Uint8Array> | null) {
  const messages: Message[] = []
  const comments: string[] = []
  const frame = (text: string): void => {
    const values = new Map<string, string>()
    for (const line of text.split('\n')) {
      const [, name = '', value = ''] = /^([a-z]*): (.*)$/.exec(line) ?? []
      if (name === '') comments.push(value)
      values.set(name, value)
    }
    const data = values.get('data')
    if (data !== undefined)
      messages.push({ id: values.get('id'), event: values.get('event'), data })
  }
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of body ?? []) {
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n\n')
      rest = parts.pop() ?? ''
      for (const part of parts) frame(part)
    }
  }
  // A reader that breaks off is what the tests are about.
  const done = read().catch(() => undefined)
  return { messages, comments, done }
}
