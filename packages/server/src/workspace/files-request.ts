/** Names below the root; a path without one is the root. */
export type Path = readonly string[]

/** What `files-script.ts` is asked to do below `root`, in `msMax` milliseconds. */
export type FileRequest = { readonly root: string; readonly msMax: number } & (
  | { readonly op: 'read'; readonly path: Path; readonly bytesMax: number }
  | { readonly op: 'write'; readonly path: Path; readonly data: string; readonly isNew: boolean }
  | {
      readonly op: 'list'
      readonly path: Path
      readonly depth: number
      readonly entriesMax: number
    }
  | { readonly op: 'delete'; readonly path: Path; readonly recursive: boolean }
  | { readonly op: 'move'; readonly from: Path; readonly to: Path; readonly replace: boolean }
  | {
      readonly op: 'copy'
      readonly from: Path
      readonly to: Path
      readonly replace: boolean
      readonly entriesMax: number
      readonly bytesMax: number
    }
)
