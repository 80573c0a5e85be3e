/** The thread that parses: one request after the other, texts in, symbols or a text out. */
import { parentPort } from 'node:worker_threads'
import { CodeRefused } from './bounds.ts'
import { brokenParts, checkEdit } from './check.ts'
import { applyEdit } from './edit.ts'
import { Grammars } from './grammar.ts'
import type { Language } from './language.ts'
import { languages } from './languages.ts'
import { outlineOf, type Source } from './outline.ts'
import type { Answer, CodeOutline, EditedCode, Request } from './requests.ts'

const grammars = new Grammars()

parentPort?.on('message', (request: Request) => {
  // What rejects (no memory, for one) ends the thread: it is no longer to be trusted.
  void answer(request).then((value) => parentPort?.postMessage(value))
})

async function answer(request: Request): Promise<Answer> {
  try {
    return { kind: 'done', value: await done(request) }
  } catch (error) {
    if (error instanceof CodeRefused) return { kind: 'refused', reason: error.message }
    throw error
  }
}

async function done({ language: name, text, edit }: Request): Promise<CodeOutline | EditedCode> {
  const language = languages.find((other) => other.name === name)
  if (language === undefined) throw new Error(`there is no language ${name}`)
  if (edit === undefined) return parsed({ language, text }, outlined)
  // One tree at a time: memory is bounded for one.
  const { edited, before } = await parsed({ language, text }, (source) => {
    const symbols = outlineOf(source)
    const broken = brokenParts(source.tree)
    return { edited: applyEdit(source, { symbols, edit }), before: { symbols, broken } }
  })
  return parsed({ language, text: edited.text }, (after) => {
    checkEdit(before, { ...edited, edit }, after)
    const changedLines = linesOf(text, edited.changes)
    return { ...outlined(after), text: edited.text, changedLines }
  })
}

/** What `use` makes of a text's tree, which is freed after it. */
async function parsed<T>(
  { language, text }: { readonly language: Language; readonly text: string },
  use: (source: Source) => T,
): Promise<T> {
  const source = await grammars.parse(language, text)
  try {
    return use(source)
  } finally {
    source.tree.delete()
  }
}

function outlined(source: Source): CodeOutline {
  return {
    symbols: outlineOf(source).map(({ symbol }) => symbol),
    brokenLines: linesOf(source.text, brokenParts(source.tree)),
  }
}

/** The lines, from 1, on which parts of a text begin, without doubles; the parts are in order. */
function linesOf(text: string, parts: readonly { readonly start: number }[]): number[] {
  const lines = new Set<number>()
  let [line, at] = [1, 0]
  for (const { start } of parts) {
    for (
      let end = text.indexOf('\n', at);
      end !== -1 && end < start;
      end = text.indexOf('\n', at)
    ) {
      line += 1
      at = end + 1
    }
    lines.add(line)
  }
  return [...lines]
}
