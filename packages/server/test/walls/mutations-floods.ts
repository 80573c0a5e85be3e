import type { Mutation, Patch } from './mutation.ts'

const sandbox = 'packages/server/src/sandbox'
const test = 'packages/server/test/walls/floods.test.ts'

const showsHostsProc: Patch = {
  file: `${sandbox}/arguments.ts`,
  find: "['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys']",
  replace: "['--ro-bind', '/proc', '/proc']",
}
const noProcessNamespace: Patch = {
  file: `${sandbox}/arguments.ts`,
  find: ", '--unshare-pid'",
  replace: '',
}

/** The walls of `floods.test.ts`. */
export const floodMutations: readonly Mutation[] = [
  {
    wall: 'file systems in memory have a size',
    file: `${sandbox}/arguments.ts`,
    find: "'1777', '--size', String(mount.bytesMax), '--tmpfs'",
    replace: "'1777', '--tmpfs'",
    test,
    title: 'a decompression bomb into memory ends at the size of that file system',
  },
  {
    wall: 'a limit on the size of a file',
    file: `${sandbox}/limits/rlimit.ts`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of the file.
    find: '    `--fsize=${fileBytes}:${fileBytes}`,\n',
    replace: '',
    test,
    title: 'a file grows to its limit and no further',
  },
  {
    wall: 'a file system of its own',
    file: `${sandbox}/disk/disk.ts`,
    find: "if (!isMade && (o.kind === 'watch' || (await isPlain(o.root)))) return new CountedDisk(o)",
    replace: 'if (isMade || o.bytesMax > 0) return new CountedDisk(o)',
    test,
    title: 'a session that fills its own file system gets no more than its size',
  },
  {
    wall: 'a count of the workspace, and an end to what runs there',
    file: `${sandbox}/disk/counted-disk.ts`,
    find: '    await session.killLive()\n',
    replace: '',
    test,
    title: 'where workspaces are counted, what fills one is killed at the next count',
  },
  {
    wall: 'a file system of its own for /tmp, with a size of its own',
    file: `${sandbox}/disk/image-disk.ts`,
    find: 'makeImage(images.tmp, o.tmpBytesMax)',
    replace: 'makeImage(images.tmp, o.bytesMax)',
    test,
    title: 'what fills /tmp gets no more than its bound, though there is room for other files',
  },
  {
    wall: 'a size of /tmp where it is memory',
    file: `${sandbox}/bubblewrap.ts`,
    find: "{ kind: 'memory', bytesMax: limits.tmpBytes, to: '/tmp' }",
    replace: "{ kind: 'memory', bytesMax: limits.diskBytes, to: '/tmp' }",
    test,
    title: 'where /tmp is memory, what fills it gets no more than its bound',
  },
  {
    wall: 'a count of /tmp, and an end to what runs there',
    file: `${sandbox}/disk/counted-disk.ts`,
    find: ' || tmp > this.#tmpBytesMax',
    replace: '',
    test,
    title: 'where workspaces are counted, what fills /tmp is killed at the next count, too',
  },
  {
    wall: 'a limit on open files',
    file: `${sandbox}/limits/rlimit.ts`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of the file.
    find: '    `--nofile=${openFiles}:${openFiles}`,\n',
    replace: '',
    test,
    title: 'a process opens as many files as its limit says',
  },
  {
    wall: 'output is kept within a bound',
    file: `${sandbox}/output.ts`,
    find: '    this.#tailBytesMax = bytesMax - this.#headBytesMax\n',
    replace: '    this.#tailBytesMax = 2 ** 30\n',
    test,
    title: 'of a flood of output only the bound is kept',
  },
  {
    wall: 'process namespace',
    ...noProcessNamespace,
    also: [showsHostsProc],
    test,
    title: 'what left its session and its terminal ends with the command that started it',
  },
  {
    wall: 'bwrap dies with the server',
    file: `${sandbox}/arguments.ts`,
    find: "'--new-session', '--die-with-parent'",
    replace: "'--new-session'",
    test,
    title: 'the death of the server leaves nothing of a slot',
  },
]
