import type { HttpTool } from '../../../tools-file/custom-tool.ts'
import { fillUrl } from '../../../tools-file/template.ts'
import { type Tool, ToolRefused } from '../tool.ts'

/** Makes a request outside the sandbox; a failure is a sentence. No secret comes back. */
export type CallHttp = (
  o: Pick<HttpTool, 'method' | 'headers' | 'secretHeaders' | 'secrets' | 'timeoutMs'> & {
    readonly url: URL
    /** JSON; null: none. */
    readonly body: string | null
    readonly signal: AbortSignal
  },
) => Promise<
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly contentType: string
      readonly text: string
      readonly truncated: boolean
    }
  | { readonly kind: 'failed'; readonly sentence: string }
>

/** The request's own end comes before that of the call. */
const endMsMax = 5000

/** A tool that the operator declared as a request. */
export function httpTool(declared: HttpTool, call: CallHttp): Tool {
  const { name, description, input, readOnly, timeoutMs } = declared
  return {
    ...{ name, description, input, readOnly },
    timeoutMs: timeoutMs + endMsMax,
    async run(given, { signal }) {
      const fields = input.parse(given)
      const url = urlOf(declared, fields)
      const outcome = await call({ ...declared, url, body: bodyOf(declared, fields), signal })
      if (outcome.kind === 'failed') throw new ToolRefused(outcome.sentence)
      const { status, contentType, text, truncated } = outcome
      const shown = [
        [status, contentType].join(' ').trim(),
        '',
        text,
        ...(truncated ? ['[the rest was left out]'] : []),
      ].join('\n')
      if (status >= 400) throw new ToolRefused(shown)
      return shown
    },
  }
}

function urlOf({ url }: HttpTool, fields: Readonly<Record<string, unknown>>): URL {
  try {
    return fillUrl(url, fields)
  } catch (error) {
    if (error instanceof RangeError) throw new ToolRefused(error.message)
    throw error
  }
}

function bodyOf(
  { bodyFields }: HttpTool,
  fields: Readonly<Record<string, unknown>>,
): string | null {
  if (bodyFields === null) return null
  return JSON.stringify(Object.fromEntries(bodyFields.map((name) => [name, fields[name]])))
}
