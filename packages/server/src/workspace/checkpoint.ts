import type { Clock } from '../clock.ts'
import type { SandboxProcess } from '../sandbox/driver.ts'
import { startGitScript, type Workspace } from './git.ts'
import { stageScript } from './stage.ts'

/** Longest that taking one, or putting one back, may take. */
const pipeMsMax = 10 * 60_000
/** Changed files may be this many times as large as the bundle may be: text packs well. */
const filesFactor = 4
/** Branches, and stashes, that it carries. */
const linesMax = 100
const headBytesMax = 4096
const stderrCharsMax = 4096

/** A checkpoint that could not be made, or put back; the message is git's own last words. */
export class CheckpointFailed extends Error {
  /** Git itself said no, and would again; otherwise it was killed, or cut off. */
  readonly isFinal: boolean
  constructor(what: string, o: { readonly words: string; readonly isFinal: boolean }) {
    super(`${what}: ${o.words.trim().split('\n').slice(-5).join(' ').slice(0, 1000)}`)
    this.isFinal = o.isFinal
  }
}

export type Taken =
  /** Its name: the same state has the same one. */
  | { readonly kind: 'taken'; readonly commit: string }
  /** Nothing was changed since `last`. */
  | { readonly kind: 'same' }
  /** Nothing is to be kept: the workspace is as it was cloned. */
  | { readonly kind: 'clean' }
  | { readonly kind: 'too_large' }

/**
 * Looks at the workspace and, if it is not as `last` has it, hands what no git host has of it to
 * `store` as a git bundle: commits beyond `base` on every branch and in every stash, which branch is
 * checked out, the index, and the files: uncommitted, untracked, deleted ones. What is ignored is not
 * in it, nor are by-products and empty directories. The agent's repository is only read: objects,
 * index, references and settings of this are in a place of its own.
 *
 * Throws `CheckpointFailed` when git cannot, which is no wonder while the agent works, and what
 * `store` throws.
 */
export async function takeCheckpoint(
  { sandbox, signal }: Workspace,
  o: {
    readonly base: string
    /** The branch that is checked out where nothing was changed. */
    readonly branch: string
    /** What was taken last. */
    readonly last: string | null
    /** Patterns of what no commit carries. */
    readonly byProducts: readonly string[]
    readonly bytesMax: number
    readonly clock: Clock
    readonly store: (taken: {
      readonly commit: string
      readonly content: AsyncIterable<Buffer>
    }) => Promise<void>
  },
): Promise<Taken> {
  const filesMax = o.bytesMax * filesFactor
  const args = [o.base, o.branch, o.last ?? '', String(o.bytesMax), String(filesMax)]
  await using pipe = new Pipe(startGitScript({ sandbox }, { script: takeScript, args }), {
    ...{ signal, clock: o.clock, what: 'no checkpoint could be taken' },
  })
  pipe.process.stdin.end(o.byProducts.map((pattern) => `${pattern}\n`).join(''))
  const output = pipe.process.stdout[Symbol.asyncIterator]()
  const { line, rest } = await firstLine(output)
  const [kind, commit = ''] = line.split(' ')
  if (kind === 'taken' && /^[0-9a-f]{40,64}$/.test(commit)) {
    try {
      await o.store({ commit, content: content(output, { rest, bytesMax: o.bytesMax, pipe }) })
      return { kind, commit }
    } catch (error) {
      if (error instanceof TooLarge) return { kind: 'too_large' }
      throw error
    }
  }
  await pipe.ended()
  if (kind === 'same' || kind === 'clean' || kind === 'too_large') return { kind }
  throw new CheckpointFailed('no checkpoint could be taken', { words: line, isFinal: true })
}

/** More came than a bundle may have. */
class TooLarge extends Error {}

/** The rest of the output; it throws unless the script ended well, and before too much came. */
async function* content(
  output: AsyncIterator<Buffer>,
  o: { readonly rest: Buffer; readonly bytesMax: number; readonly pipe: Pipe },
): AsyncGenerator<Buffer> {
  let bytes = 0
  for (let piece = o.rest; ; ) {
    bytes += piece.length
    if (bytes > o.bytesMax) throw new TooLarge(`a checkpoint is larger than ${o.bytesMax} bytes`)
    if (piece.length > 0) yield piece
    const next = await output.next()
    if (next.done === true) return o.pipe.ended()
    piece = next.value
  }
}

async function firstLine(
  output: AsyncIterator<Buffer>,
): Promise<{ readonly line: string; readonly rest: Buffer }> {
  let head = Buffer.alloc(0)
  for (;;) {
    const at = head.indexOf('\n')
    if (at >= 0) return { line: head.toString('latin1', 0, at), rest: head.subarray(at + 1) }
    const next = head.length > headBytesMax ? null : await output.next()
    if (next === null || next.done === true) return { line: '', rest: Buffer.alloc(0) }
    head = Buffer.concat([head, next.value])
  }
}

/**
 * Puts a checkpoint into a clone that has its base, on `branch`. Whoever made it may have put
 * anything into it: what comes of it is what the agent might have done to its workspace, and only git
 * in the sandbox reads it. Throws `CheckpointFailed`, and the workspace may be in between then.
 */
export async function restoreCheckpoint(
  { sandbox, signal }: Workspace,
  o: {
    readonly commit: string
    readonly content: AsyncIterable<Buffer>
    readonly clock: Clock
  },
): Promise<void> {
  const started = startGitScript({ sandbox }, { script: restoreScript, args: [o.commit] })
  await using pipe = new Pipe(started, {
    ...{ signal, clock: o.clock, what: 'the checkpoint could not be put back' },
  })
  pipe.process.stdout.resume()
  await pipe.write(o.content)
  await pipe.ended()
}

/** A script with a stream in or out. Disposing ends it. */
class Pipe implements AsyncDisposable {
  readonly process: SandboxProcess
  readonly #what: string
  readonly #exit = Promise.withResolvers<void>()
  readonly #signal: AbortSignal
  readonly #timer: Disposable
  #stderr = ''
  readonly #kill = (): void => void this.process.kill('SIGKILL')

  constructor(
    process: SandboxProcess,
    o: { readonly signal: AbortSignal; readonly clock: Clock; readonly what: string },
  ) {
    this.process = process
    this.#what = o.what
    this.#signal = o.signal
    process.on('exit', () => this.#exit.resolve())
    process.on('error', () => this.#exit.resolve())
    process.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('latin1')).slice(-stderrCharsMax)
    })
    this.#timer = o.clock.after(pipeMsMax, this.#kill)
    if (o.signal.aborted) this.#kill()
    else o.signal.addEventListener('abort', this.#kill, { once: true })
  }

  /** Writes as fast as it is read; what an ended script does not take is dropped. */
  async write(content: AsyncIterable<Buffer>): Promise<void> {
    const { stdin } = this.process
    for await (const piece of content) {
      if (this.process.exitCode !== null || this.process.signalCode !== null) break
      if (stdin.write(piece)) continue
      const drained = Promise.withResolvers<void>()
      stdin.once('drain', drained.resolve)
      await Promise.race([drained.promise, this.#exit.promise])
      stdin.off('drain', drained.resolve)
    }
    stdin.end()
  }

  /** Resolves when it ended well; throws `CheckpointFailed`, or the signal's reason. */
  async ended(): Promise<void> {
    await this.#exit.promise
    this.#signal.throwIfAborted()
    const { exitCode } = this.process
    if (exitCode === 0) return
    const words = this.#stderr.trim() || (exitCode === null ? 'it was ended' : `exit ${exitCode}`)
    const isFinal = exitCode !== null && exitCode <= 128
    throw new CheckpointFailed(this.#what, { words, isFinal })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]()
    this.#signal.removeEventListener('abort', this.#kill)
    this.process.stdout.destroy()
    if (this.process.exitCode === null && this.process.signalCode === null) this.#kill()
    await this.#exit.promise
  }
}

/**
 * A checkpoint is a commit: its tree is the files, its first parent what is checked out, its second
 * one the index, and its message says which branch that is, where the other branches are, and which
 * stashes there are. Its dates are fixed, so that the same state has the same name.
 *
 * The index is a copy of the agent's own, which knows what was looked at already; one that cannot be
 * used is read from the commit. Marks in it that hide files are taken off, and ignored is what the
 * repository and the server say, as in the commit that is published in the end.
 */
const takeScript = `${stageScript}
set -o pipefail
base=$1 branch=$2 last=$3 bundle_max=$4 files_max=$5
renice -n 10 -p $$ >/dev/null 2>&1
beside=$(mktemp --directory) || exit 1
trap 'rm -rf "$beside"' EXIT
ask() { git rev-parse --path-format=absolute "$@"; }
objects=$(ask --git-path objects) && format=$(ask --show-object-format) &&
  head=$(git rev-parse --verify 'HEAD^{commit}') || exit
cp -- "$(ask --git-path index)" "$beside/index" 2>/dev/null
message=$(
  printf 'on %s\\n' "$(git symbolic-ref --quiet HEAD)"
  git for-each-ref --count=${linesMax} --format='ref %(objectname) %(refname)' refs/heads/ &&
    git log --walk-reflogs --no-show-signature --max-count=${linesMax} --format='stash %H' \\
      refs/stash -- 2>/dev/null
)
export GIT_DIR=$beside/repository
git init --quiet --bare --template= --object-format="$format" -- "$GIT_DIR" || exit
mkdir "$GIT_DIR/info" && cat >"$GIT_DIR/info/exclude" || exit
git config core.bare false && git config core.looseCompression 0 &&
  git config core.bigFileThreshold 4m && git config pack.threads 1 &&
  git config pack.windowMemory 32m || exit
export GIT_WORK_TREE=$PWD GIT_INDEX_FILE=$beside/index GIT_ALTERNATE_OBJECT_DIRECTORIES=$objects
index=$(git write-tree 2>/dev/null) || index=$(git rev-parse --verify "$head^{tree}") || exit
if ! git ls-files -v -z >"$beside/listed" 2>/dev/null; then
  rm -f "$beside/index"
  git read-tree "$head" || exit
else
  grep -z '^[a-zS] ' "$beside/listed" | cut -z -c3- >"$beside/marked"
  git update-index --no-assume-unchanged -z --stdin <"$beside/marked" &&
    git update-index --no-skip-worktree -z --stdin <"$beside/marked" || exit
fi
bytes=$(git ls-files -z --others --modified --exclude-standard |
  du --apparent-size --block-size=1 --total --files0-from=- 2>/dev/null | tail -n 1 | cut -f 1)
[ "\${bytes:-0}" -le "$files_max" ] || { echo too_large; exit 0; }
stage "$base" || exit
tree=$(git write-tree) || exit
tips=$(printf '%s\\n' "$head" "$message" | sed -n 's/^\\(ref\\|stash\\) \\([0-9a-f]*\\).*/\\2/p; 1p')
first=$(git rev-parse --verify "$base^{tree}") &&
  beyond=$(git rev-list --max-count=1 $tips --not "$base" --) || exit
if [ "$tree$index$beyond" = "$first$first" ] &&
  [ "\${message%%$'\\n'*}" = "on refs/heads/$branch" ]; then
  echo clean
  exit 0
fi
export GIT_AUTHOR_NAME=Longhaul GIT_AUTHOR_EMAIL=longhaul@localhost GIT_AUTHOR_DATE='@0 +0000'
export GIT_COMMITTER_NAME=Longhaul GIT_COMMITTER_EMAIL=longhaul@localhost
export GIT_COMMITTER_DATE='@0 +0000'
second=$(git commit-tree "$index" -p "$head" -m index) &&
  commit=$(printf '%s\\n' "$message" | git commit-tree "$tree" -p "$head" -p "$second") || exit
[ "$commit" != "$last" ] || { echo same; exit 0; }
git update-ref refs/longhaul/checkpoint "$commit" || exit
n=0
for tip in $tips; do
  git update-ref "refs/longhaul/tips/$((n++))" "$tip" || exit
done
printf 'taken %s\\n' "$commit"
git bundle create --quiet - --all --not "$base" | head --bytes=$((bundle_max + 1))
`

/** The objects first: a bundle that is none, or lacks something, changes no reference and no file. */
const restoreScript = `
set -o pipefail
commit=$1
beside=$(mktemp --directory) || exit 1
trap 'rm -rf "$beside"' EXIT
cat >"$beside/bundle" && git bundle unbundle "$beside/bundle" >/dev/null &&
  head=$(git rev-parse --verify "$commit^1") &&
  index=$(git rev-parse --verify "$commit^2^{tree}") || exit
on=
stashes=()
while read -r kind id name; do
  case $kind in
  on) on=$id ;;
  ref) [[ $name = refs/heads/* ]] && git update-ref "$name" "$id" ;;
  stash) stashes=("$id" "\${stashes[@]}") ;;
  esac
done < <(git cat-file commit "$commit" | sed '1,/^$/d')
git read-tree --reset -u "$commit^{tree}" || exit
if [[ $on = refs/heads/* ]] && [ "$(git rev-parse --verify --quiet "$on")" = "$head" ]; then
  git symbolic-ref HEAD "$on" || exit
else
  git update-ref --no-deref HEAD "$head" || exit
fi
git read-tree "$index" || git read-tree "$head" || exit
git update-index --refresh -q >/dev/null
for stash in "\${stashes[@]}"; do
  git stash store --quiet --message='kept in a checkpoint' "$stash"
done
true
`
