import { CodeParser } from '../../../src/agent/tools/code/parser.ts'
import { codeTools } from '../../../src/agent/tools/code.ts'
import { ToolRefused } from '../../../src/agent/tools/tool.ts'
import { systemClock } from '../../../src/clock.ts'
import { createLog } from '../../../src/log.ts'

/** The code tools over files in memory, with a real parser. */
export interface CodeStage extends AsyncDisposable {
  readonly files: Map<string, Buffer>
  readonly parser: CodeParser
  /** The answer of one call; rejects with what the tool refuses. */
  call(name: string, input: Readonly<Record<string, unknown>>): Promise<string>
  /** Outlines, and edits what was outlined. Answers the file's new text. */
  edit(path: string, input: Readonly<Record<string, unknown>>): Promise<string>
}

export function openCode(requestMsMax?: number): CodeStage {
  const files = new Map<string, Buffer>()
  const parser = new CodeParser({
    clock: systemClock,
    log: createLog('silent'),
    ...(requestMsMax === undefined ? {} : { requestMsMax }),
  })
  const tools = codeTools({
    files: {
      async read(path) {
        const data = files.get(path)
        if (data === undefined) throw new ToolRefused(`${path} does not exist.`)
        return data
      },
      async write({ path, data }) {
        files.set(path, data)
        return true
      },
    },
    search: () => Promise.reject(new Error('there is no search here')),
    parser,
  })
  const call: CodeStage['call'] = async (name, input) => {
    const tool = tools.find((other) => other.name === name)
    if (tool === undefined) throw new Error(`no tool ${name}`)
    return tool.run(tool.input.parse(input), { signal: AbortSignal.timeout(120_000) })
  }
  return {
    files,
    parser,
    call,
    async edit(path, input) {
      const revision = /revision (\w+)/.exec(await call('code_outline', { path }))?.[1]
      await call('code_edit', { path, revision, ...input })
      return files.get(path)?.toString() ?? ''
    },
    [Symbol.asyncDispose]: () => parser[Symbol.asyncDispose](),
  }
}
