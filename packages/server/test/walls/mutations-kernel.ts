import type { Mutation } from './mutation.ts'

const table = 'packages/server/src/sandbox/seccomp/table.ts'
const test = 'packages/server/test/walls/kernel.test.ts'

const noFilter = {
  wall: 'a filter of system calls',
  file: 'packages/server/src/sandbox/create.ts',
  find: 'const seccomp = seccompProgram(process.arch)',
  replace: 'const seccomp = seccompProgram("")',
  test,
}

/** The walls of `kernel.test.ts`. */
export const kernelMutations: readonly Mutation[] = [
  ...[
    'a socket to the hypervisor is not made: no namespace covers AF_VSOCK',
    'a socket of the kernel’s own, other than for routes, is not made',
    'no user namespace is made inside: not by unshare, clone or clone3',
    'no namespace of others is entered',
    'rings of calls that no filter sees are not made',
    'keyrings, which belong to a uid and not to a sandbox, are not used',
    'page faults are not handled inside',
    'descriptors of other processes are not taken',
    'files are not opened by number',
    'nothing is mounted: not by the old calls, and not by the new ones',
    'nothing is typed into a terminal',
    'tracing of the whole machine, and programs in the kernel, are refused before they are looked at',
  ].map((title) => ({ ...noFilter, title })),
  {
    wall: 'socket families that are listed',
    file: table,
    find: 'when: { argument: 0, notIn: Object.values(family) },',
    replace: 'when: { argument: 0, notIn: [...Object.values(family), 40] },',
    test,
    title: 'a socket to the hypervisor is not made: no namespace covers AF_VSOCK',
  },
]
