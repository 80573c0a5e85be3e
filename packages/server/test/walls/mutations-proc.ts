import type { Mutation, Patch } from './mutation.ts'

const sandbox = 'packages/server/src/sandbox'
const test = 'packages/server/test/walls/proc.test.ts'

const showsHostsProc: Patch = {
  file: `${sandbox}/arguments.ts`,
  find: "['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys']",
  replace: "['--ro-bind', '/proc', '/proc']",
}

/** The walls of `proc.test.ts`. */
export const procMutations: readonly Mutation[] = [
  {
    wall: 'process namespace',
    file: `${sandbox}/arguments.ts`,
    find: ", '--unshare-pid'",
    replace: '',
    also: [showsHostsProc],
    test,
    title: 'nothing in /proc tells of the server, of other processes or of other sessions',
  },
  {
    wall: 'covers over what /proc tells of the machine',
    file: `${sandbox}/bubblewrap.ts`,
    find: '    ...(await procMounts({ empty: emptyDirectory(paths) })),\n',
    replace: '',
    test,
    title: 'nothing of the machine is read in /proc but what programs need',
  },
  {
    wall: '/proc/sys and /proc/pressure read-only',
    file: `${sandbox}/proc-mounts.ts`,
    find: "if (name === 'pressure') return [{ kind: 'read_only', from: to, to }]",
    replace: "if (name === 'pressure') return []",
    test,
    title: 'nothing in /proc opens for writing but what is a process’s own',
  },
]
