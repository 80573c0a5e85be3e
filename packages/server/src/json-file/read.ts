import { readFileSync, statSync } from 'node:fs'
import { type Mistake, sentences } from './mistakes.ts'

const fileBytesMax = 1024 * 1024

/** Reads a JSON file of the operator's. Throws an Error whose sentence names the setting and the file. */
export function readJson(setting: string, path: string): unknown {
  let text: string
  try {
    const { size } = statSync(path)
    if (size > fileBytesMax) throw new Error(`it is larger than ${fileBytesMax} bytes`)
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${setting} ${path} cannot be read: ${wordsOf(error)}.`, { cause: error })
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`${setting} ${path}: expected JSON, came something else: ${wordsOf(error)}.`, {
      cause: error,
    })
  }
}

/** An Error that names every mistake in the file, a sentence each, with its place. */
export function refusedFile(o: {
  readonly setting: string
  readonly path: string
  readonly mistakes: readonly Mistake[]
  readonly file: unknown
}): Error {
  const count = o.mistakes.length === 1 ? '1 mistake' : `${o.mistakes.length} mistakes`
  const lines = sentences(o.mistakes, o.file).map((sentence) => `  ${sentence}`)
  return new Error([`${o.setting} ${o.path} has ${count}:`, ...lines].join('\n'))
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
