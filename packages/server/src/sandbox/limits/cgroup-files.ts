import { readFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'

/**
 * How cgroups are reached: a file system of the kernel's, where making a directory makes a group
 * and its files. An argument, so that a tree with the rules of version 2 can stand in for one.
 */
export interface CgroupFiles {
  mkdir(directory: string): Promise<void>
  rmdir(directory: string): Promise<void>
  /** Names in a directory. */
  list(directory: string): Promise<string[]>
  read(path: string): Promise<string>
  /** Counters: the kernel answers from memory, in microseconds. */
  readNow(path: string): string
  write(path: string, value: string): Promise<void>
}

export const kernelFiles: CgroupFiles = {
  mkdir: async (directory) => void (await mkdir(directory, { mode: 0o755 })),
  rmdir,
  list: (directory) => readdir(directory),
  read: (path) => readFile(path, 'utf8'),
  readNow: (path) => readFileSync(path, 'utf8'),
  write: (path, value) => writeFile(path, value),
}

/** The system's code of an error, `ENOENT` and so on; empty if it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/** The number in a file with nothing else; null when there is none, or no such file. */
export async function readNumber(files: CgroupFiles, path: string): Promise<number | null> {
  const text = await files.read(path).catch(() => '') // An older kernel has fewer files.
  return /^\d+\s*$/.test(text) ? Number(text) : null
}

/** The number after a name in a file of `name number` lines; 0 when there is none. */
export function counterIn(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}
