import { extname } from 'node:path'
import type { Language } from './language.ts'
import { go } from './languages/go.ts'
import { java } from './languages/java.ts'
import { javascript, tsx, typescript } from './languages/javascript.ts'
import { python } from './languages/python.ts'
import { rust } from './languages/rust.ts'

/** Every language with an outline. */
export const languages: readonly Language[] = [typescript, tsx, javascript, python, go, rust, java]

/** The language of a file by its name's ending; undefined: none that we know. */
export function languageOf(path: string): Language | undefined {
  const extension = extname(path).slice(1).toLowerCase()
  return languages.find(({ extensions }) => extensions.includes(extension))
}
