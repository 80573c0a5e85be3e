import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Language as Grammar, Parser } from 'web-tree-sitter'
import { CodeRefused, treeBytesMax } from './bounds.ts'
import type { Language } from './language.ts'
import type { Source } from './outline.ts'

/** Bytes of a page of WebAssembly memory, and those that the parser's module begins with. */
const pageBytes = 64 * 1024
const initialBytes = 32 * 1024 * 1024

/** What we use of it; TypeScript has its types among those of browsers. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => object
}

const require = createRequire(import.meta.url)
const grammars = join(dirname(require.resolve('@vscode/tree-sitter-wasm/package.json')), 'wasm')

/** Parsers of the grammars used so far; they share one bounded memory. */
export class Grammars {
  readonly #ready: Promise<void>
  readonly #parsers = new Map<string, Promise<Parser>>()

  constructor() {
    const pages = (bytes: number): number => Math.floor(bytes / pageBytes)
    const wasmMemory = new WebAssembly.Memory({
      initial: pages(initialBytes),
      maximum: pages(treeBytesMax),
    })
    this.#ready = Parser.init({ wasmMemory })
  }

  /** The text and its tree, whose `delete` frees it. Throws what ends this thread: no memory. */
  async parse(language: Language, text: string): Promise<Source> {
    let parser = this.#parsers.get(language.grammar)
    parser ??= this.#open(language)
    this.#parsers.set(language.grammar, parser)
    const tree = (await parser).parse(text)
    if (tree === null) throw new CodeRefused('It could not be parsed.')
    return { language, text, tree }
  }

  async #open({ grammar }: Language): Promise<Parser> {
    await this.#ready
    const file = await readFile(join(grammars, `tree-sitter-${grammar}.wasm`))
    return new Parser().setLanguage(await Grammar.load(file))
  }
}
