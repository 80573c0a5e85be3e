import type { Mutation, Patch } from './mutation.ts'

const sandbox = 'packages/server/src/sandbox'
const test = 'packages/server/test/walls/host.test.ts'

const mounts = 'mounts that allow, not deny'
const shownDataDir = {
  wall: mounts,
  file: `${sandbox}/bubblewrap.ts`,
  find: '    ...ownMounts({ paths, disk, limits: spec.limits }),\n',
  replace:
    "    readOnly(join(paths.root, '../..'), join(paths.root, '../..')),\n    ...ownMounts({ paths, disk, limits: spec.limits }),\n",
  test,
}
const noNetworkNamespace = {
  wall: 'network namespace',
  file: `${sandbox}/arguments.ts`,
  find: ", '--unshare-net'",
  replace: '',
  test,
}
const keptUid = {
  file: `${sandbox}/arguments.ts`,
  find: 'if (o.uid === null) return',
  replace: 'if (o.uid !== -1) return',
}
const hostsProc = {
  file: `${sandbox}/arguments.ts`,
  find: "['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys']",
  replace: "['--ro-bind', '/proc', '/proc']",
}

/** Root’s capabilities over the host itself: neither a user namespace nor a uid takes them away. */
export const withCapabilities: readonly [Patch, ...Patch[]] = [
  keptUid,
  {
    file: `${sandbox}/arguments.ts`,
    find: "['--unshare-user', ",
    replace: "['--cap-add', 'ALL', ",
  },
  { file: `${sandbox}/arguments.ts`, find: "['--disable-userns']", replace: '[]' },
  {
    file: `${sandbox}/arguments.ts`,
    find: "['--uid', String(insideUid), '--gid', String(insideUid), '--hostname', 'sandbox']",
    replace: "['--hostname', 'sandbox']",
  },
]

/** The walls of `host.test.ts`. */
export const hostMutations: readonly Mutation[] = [
  {
    ...shownDataDir,
    title: 'a file of the host is read by no path: links, parents, the root and directory of pid 1',
  },
  { ...shownDataDir, title: 'a session’s files are not there for another session' },
  { ...shownDataDir, title: 'a socket file of the host is not there to connect to' },
  {
    wall: 'an empty environment for bwrap itself',
    file: `${sandbox}/bubblewrap-process.ts`,
    find: 'env: { PATH: o.path }',
    replace: 'env: { ...(process.env as Record<string, string>), PATH: o.path }',
    test,
    title: 'the server’s environment is not that of any process inside',
  },
  {
    wall: 'bwrap’s arguments by descriptor',
    file: `${sandbox}/bubblewrap.ts`,
    find: 'return launches.run(told)',
    replace: `const spoken = launch.command.flatMap((word, at, all) =>
        word === '--args' ? told.bwrapArguments : all[at - 1] === '--args' ? [] : [word])
      return startLaunch({ ...launch, command: spoken })
        .run({ ...told, bwrapArguments: [] }, () => undefined)`,
    test,
    title: 'variables and paths given to bwrap are in no command line inside',
  },
  { ...noNetworkNamespace, title: 'an abstract socket of the host is not heard' },
  { ...noNetworkNamespace, title: 'a port of the host is not heard, by TCP or UDP' },
  {
    wall: 'process namespace',
    file: `${sandbox}/arguments.ts`,
    find: ", '--unshare-pid'",
    replace: '',
    also: [hostsProc],
    test,
    title: 'a process of the host is neither read nor signalled',
  },
  {
    wall: 'IPC namespace',
    file: `${sandbox}/arguments.ts`,
    find: ", '--unshare-ipc'",
    replace: '',
    test,
    title: 'shared memory of the host is not read',
  },
  {
    wall: 'devices of its own',
    file: `${sandbox}/arguments.ts`,
    find: "['--dev', '/dev']",
    replace: "['--dev-bind', '/dev', '/dev']",
    test,
    title: 'of the devices of the host none is there, nor its control groups',
  },
  {
    wall: mounts,
    file: `${sandbox}/arguments.ts`,
    find: "['--dev', '/dev']",
    replace: "['--dev', '/dev', '--ro-bind', '/sys', '/sys']",
    test,
    title: 'of the devices of the host none is there, nor its control groups',
  },
  {
    wall: 'a uid of the slot’s own',
    ...keptUid,
    test,
    title: 'what only its owner may read stays so where it is shown',
  },
  {
    // bwrap itself always adds no_new_privs and mounts without setuid: no option takes them away.
    wall: 'a uid of the slot’s own',
    ...keptUid,
    test,
    title: 'a program with root’s setuid bit runs as who started it, and su makes nobody root',
  },
  {
    wall: 'no capability: a user namespace, and a uid without any',
    ...withCapabilities[0],
    also: withCapabilities.slice(1),
    test,
    title: 'no node of a device is made, of no disk and of no memory',
  },
  {
    wall: 'read-only binds',
    file: `${sandbox}/bubblewrap.ts`,
    find: '(o.show ?? []).map((path) => readOnly(path, path))',
    replace: '(o.show ?? []).map((path) => readWrite(path, path))',
    test,
    title: 'a shared directory is not written, whatever its mode',
  },
  {
    wall: 'a uid of the slot’s own, and /proc/sys read-only',
    ...keptUid,
    also: [
      {
        file: `${sandbox}/arguments.ts`,
        find: ", '--ro-bind', '/proc/sys', '/proc/sys'",
        replace: '',
      },
    ],
    test,
    title: 'system settings do not open for writing',
  },
  {
    wall: 'the root sealed',
    file: `${sandbox}/arguments.ts`,
    find: "    ...['--remount-ro', '/'],\n",
    replace: '',
    test,
    title: 'the root inside, which would be memory without a bound, is not written',
  },
  {
    wall: 'read-only binds of the server’s own files',
    file: `${sandbox}/bubblewrap.ts`,
    find: 'readOnly(systemDirectory(paths), ownDirectory)',
    replace: 'readWrite(systemDirectory(paths), ownDirectory)',
    also: [{ file: `${sandbox}/directories.ts`, find: 'name), 0o644)', replace: 'name), 0o666)' }],
    test,
    title: 'the first program inside is not changed for the next command',
  },
  {
    wall: 'read-only binds of the server’s own files',
    file: `${sandbox}/shown-etc.ts`,
    find: "{ kind: 'read_only', from: root, to: '/etc' }",
    replace: "{ kind: 'read_write', from: root, to: '/etc' }",
    also: [
      { file: `${sandbox}/shown-etc.ts`, find: 'directory, 0o755)', replace: 'directory, 0o777)' },
    ],
    test,
    title: 'the /etc that every session is shown is not changed by one of them',
  },
  {
    wall: 'read-only binds of the server’s own directories',
    file: `${sandbox}/bubblewrap.ts`,
    find: 'return readOnly(sock, sock)',
    replace: 'return readWrite(sock, sock)',
    also: [
      {
        file: `${sandbox}/directories.ts`,
        find: 'await makeOwned(o.disk.onHost(path), o.uid)',
        replace:
          'await makeOwned(o.disk.onHost(path), o.uid)\n  if (o.uid !== null) await chown(dirname(o.paths.gatewaySocket), o.uid, o.uid)',
      },
    ],
    test,
    title: 'the gateway’s socket is not replaced by one of the agent’s',
  },
  {
    wall: 'a range of uids for each server of a host',
    file: 'packages/server/src/build/runner.ts',
    find: '...(uids && { uidBase: uids.base }),',
    replace: '',
    test: 'packages/server/test/e2e/neighbours.test.ts',
    title: 'sessions of two servers of a host have no uid in common',
  },
]
