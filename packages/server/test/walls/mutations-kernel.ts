import type { Mutation } from './mutation.ts'
import { withCapabilities } from './mutations-host.ts'

const table = 'packages/server/src/sandbox/seccomp/table.ts'
const test = 'packages/server/test/walls/kernel.test.ts'

const noFilter = {
  wall: 'a filter of system calls',
  file: 'packages/server/src/sandbox/create.ts',
  find: 'return seccompProgram(process.arch, isCounted',
  replace: 'return seccompProgram("", isCounted',
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
    'no call is made by its number of the x32 ABI, which no rule has',
    'nothing is mounted: not by the old calls, and not by the new ones',
    'nothing is typed into a terminal',
    'tracing of the whole machine, and programs in the kernel, are refused before they are looked at',
  ].map((title) => ({ ...noFilter, title })),
  {
    wall: 'no call of another ABI',
    file: 'packages/server/src/sandbox/seccomp/program.ts',
    find: "...(architecture === 'x64' ? refuseX32 : [])",
    replace: "...(architecture === 'arm64' ? refuseX32 : [])",
    test,
    title: 'no call is made by its number of the x32 ABI, which no rule has',
  },
  {
    ...noFilter,
    wall: 'a filter of system calls, and no capability',
    // Most hosts let only CAP_SYSLOG read: the filter is seen to be gone where that is there.
    also: withCapabilities,
    test,
    title: 'the kernel’s messages are not read: no call, no device, no program',
  },
  {
    wall: 'devices of its own',
    file: 'packages/server/src/sandbox/arguments.ts',
    find: "['--dev', '/dev']",
    replace: "['--dev-bind', '/dev', '/dev']",
    test,
    title: 'the kernel’s messages are not read: no call, no device, no program',
  },
  {
    wall: 'socket families that are listed',
    file: table,
    find: 'when: { argument: 0, notIn: Object.values(family) },',
    replace: 'when: { argument: 0, notIn: [...Object.values(family), 40] },',
    test,
    title: 'a socket to the hypervisor is not made: no namespace covers AF_VSOCK',
  },
]
