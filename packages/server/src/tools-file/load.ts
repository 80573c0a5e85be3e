import { lstatSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { mistakesOf } from '../json-file/mistakes.ts'
import { readJson, refusedFile } from '../json-file/read.ts'
import { checkNames, checkTool, type Surroundings } from './check.ts'
import type { Argument, CustomTool } from './custom-tool.ts'
import { inputCheck } from './input.ts'
import {
  type CommandDeclaration,
  type HttpDeclaration,
  type McpDeclaration,
  type ToolDeclaration,
  toolsFile,
} from './schema.ts'
import { fieldsOf, parseArgument, parseUrlTemplate, type UrlTemplate } from './template.ts'

/** Of a file beside it: Linux takes at most 128 KiB as one argument of a process. */
const besideBytesMax = 96 * 1024

/**
 * Reads the operator's tools, once, at the start. Throws an Error that names every mistake in the
 * file, a sentence each, with its place.
 */
export function readToolsFile(o: {
  readonly path: string
  readonly env: Surroundings['env']
  readonly plainAllowed: Surroundings['plainAllowed']
}): CustomTool[] {
  const file = readJson('TOOLS_FILE', o.path)
  const beside = dirname(o.path)
  const around: Surroundings = { ...o, readBeside: (name) => readBeside(beside, name) }
  const parsed = toolsFile.safeParse(file)
  const raw = toolsIn(file)
  const mistakes = [
    ...(parsed.success ? [] : mistakesOf(parsed.error)),
    ...raw.flatMap((tool, index) => checkTool(tool, ['tools', index], around)),
    ...checkNames(raw),
  ]
  if (!parsed.success || mistakes.length > 0)
    throw refusedFile({ setting: 'TOOLS_FILE', path: o.path, mistakes, file })
  return parsed.data.tools.map((tool) => toolOf(tool, around))
}

/** Only a file of that directory itself; what it is given to may be told all of it. */
function readBeside(directory: string, name: string): { text: string } | string {
  if (!/^[\w][\w.-]{0,127}$/.test(name)) return 'expected the name of a file beside the tools file'
  const path = join(directory, name)
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined || !found.isFile()) return 'expected a file beside the tools file'
  if (found.size > besideBytesMax) return `expected a file of at most ${besideBytesMax} bytes`
  const text = readFileSync(path, 'utf8')
  return text.includes('\0') ? 'expected a file of text' : { text }
}

function toolOf(tool: ToolDeclaration, around: Surroundings): CustomTool {
  const common = {
    name: tool.name,
    denied: tool.permission_policy === 'always_deny',
    readOnly: tool.read_only,
    timeoutMs: tool.timeout_seconds * 1000,
  }
  if (tool.mcp !== undefined) return { ...common, kind: 'mcp', at: serverOf(tool.mcp, around) }
  const described = {
    ...common,
    description: tool.description ?? '',
    input: inputCheck(tool.input),
  }
  if (tool.command !== undefined)
    return { ...described, kind: 'command', ...commandOf(tool.command, around) }
  if (tool.http === undefined) throw new Error('a tool without a kind passed the check')
  const names = Object.keys(tool.input?.properties ?? {})
  return { ...described, kind: 'http', ...requestOf(tool.http, { names, around }) }
}

function commandOf({ argv, stdin, env, network }: CommandDeclaration, around: Surroundings) {
  return { argv: argumentsOf(argv, around), stdin, env, network }
}

function requestOf(
  http: HttpDeclaration,
  { names, around }: { readonly names: readonly string[]; readonly around: Surroundings },
) {
  const url = templateOf(http.url)
  const { path, query } = fieldsOf(url)
  const inUrl = [...path, ...query]
  const rest = names.filter((name) => !inUrl.includes(name))
  return {
    method: http.method,
    url,
    headers: http.headers,
    ...secretsOf(http.secret_headers, around),
    bodyFields: http.body === 'json' ? rest : null,
  }
}

function serverOf(mcp: McpDeclaration, around: Surroundings) {
  if (mcp.argv !== undefined) {
    const texts = argumentsOf(mcp.argv, around).map((each) =>
      each.kind === 'text' ? each.text : '',
    )
    return { where: 'sandbox', argv: texts, env: mcp.env } as const
  }
  const url = new URL(mcp.url ?? '')
  const { headers, secret_headers } = mcp
  return { where: 'remote', url, headers, ...secretsOf(secret_headers, around) } as const
}

function argumentsOf(argv: readonly string[], around: Surroundings): Argument[] {
  return argv.map((text) => {
    const argument = parseArgument(text)
    if (argument === null) throw new Error('an argument that is none passed the check')
    if (argument.kind !== 'file') return argument
    const beside = around.readBeside(argument.name)
    if (typeof beside === 'string') throw new Error(`${argument.name}: ${beside}`)
    return { kind: 'text', text: beside.text }
  })
}

function templateOf(text: string): UrlTemplate {
  const template = parseUrlTemplate(text)
  if (typeof template === 'string') throw new Error('a URL that is none passed the check')
  return template
}

function secretsOf(declared: HttpDeclaration['secret_headers'], { env }: Surroundings) {
  const found = Object.entries(declared).map(([name, { env: variable, prefix }]) => {
    const secret = env[variable] ?? ''
    return { name, secret, value: `${prefix}${secret}` }
  })
  return {
    secretHeaders: Object.fromEntries(found.map(({ name, value }) => [name, value])),
    secrets: found.map(({ secret }) => secret),
  }
}

function toolsIn(file: unknown): unknown[] {
  const tools = typeof file === 'object' && file !== null ? Reflect.get(file, 'tools') : []
  return Array.isArray(tools) ? tools : []
}
