import type { CallName } from './numbers.ts'

/** What a refused call answers. */
export const errors = {
  EPERM: 1,
  ENOSYS: 38,
  EPROTONOSUPPORT: 93,
  EAFNOSUPPORT: 97,
} as const

/** When a call with these arguments is refused; without one it always is. */
export type Condition =
  | { readonly argument: number; readonly equals: readonly number[] }
  | { readonly argument: number; readonly notIn: readonly number[] }
  /** Any of these bits is set. */
  | { readonly argument: number; readonly anyBit: number }
  /** The first has the value, and the second another than the one that is allowed with it. */
  | {
      readonly argument: number
      readonly is: number
      readonly unless: { readonly argument: number; readonly is: number }
    }

export interface Rule {
  readonly calls: readonly CallName[]
  /** The lower 32 bits of arguments are compared: all of these arguments are 32 bits wide. */
  readonly when?: Condition
  readonly error: keyof typeof errors
  /** What the call could do that no other wall stops, or stops alone. */
  readonly why: string
}

const family = { unix: 1, inet: 2, inet6: 10, netlink: 16 }
const netlinkRoute = 0

/** CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET (linux/sched.h). */
const newNamespaces =
  0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
/** CLONE_NEWTIME; in `clone` these bits are the exit signal's. */
const newTime = 0x80

const tiocsti = 0x5412
const tioclinux = 0x541c

/**
 * What a process inside may not ask the kernel, on top of having no capability and namespaces of its
 * own. All else is allowed: a list of what is allowed breaks programs with every release of libc, and
 * what it would add is covered by the mounts and the namespaces.
 *
 * Allowed on purpose: `ptrace` and `process_vm_readv`. They reach processes of the same sandbox only,
 * which hold nothing that is secret, and debuggers and sanitizers need them.
 */
export const rules: readonly Rule[] = [
  {
    calls: ['socket', 'socketpair'],
    when: { argument: 0, notIn: Object.values(family) },
    error: 'EAFNOSUPPORT',
    why: 'A network namespace does not cover AF_VSOCK, which reaches the hypervisor; the other families (packet, bluetooth, alg, can, …) are attack surface that no build needs.',
  },
  {
    calls: ['socket', 'socketpair'],
    when: { argument: 0, is: family.netlink, unless: { argument: 2, is: netlinkRoute } },
    error: 'EPROTONOSUPPORT',
    why: 'Of netlink only NETLINK_ROUTE is needed, to list interfaces; the others (audit, uevents, netfilter, xfrm) are attack surface.',
  },
  {
    calls: ['unshare'],
    when: { argument: 0, anyBit: newNamespaces | newTime },
    error: 'EPERM',
    why: 'A user namespace inside gives every capability over what it makes: the way into most kernel exploits. Also where bwrap is too old for --disable-userns.',
  },
  {
    calls: ['clone'],
    when: { argument: 0, anyBit: newNamespaces },
    error: 'EPERM',
    why: 'The same namespaces, made with a process.',
  },
  {
    calls: ['clone3'],
    error: 'ENOSYS',
    why: 'Its flags are behind a pointer, which no filter can read; libc falls back to clone.',
  },
  { calls: ['setns'], error: 'EPERM', why: 'Entering namespaces of others.' },
  {
    calls: [
      ...(['mount', 'umount2', 'pivot_root', 'chroot', 'fsopen', 'fsconfig', 'fsmount'] as const),
      ...(['fspick', 'open_tree', 'move_mount', 'mount_setattr'] as const),
    ],
    error: 'EPERM',
    why: 'The mounts are the wall around files: nobody inside changes them.',
  },
  {
    calls: ['open_by_handle_at', 'name_to_handle_at'],
    error: 'EPERM',
    why: 'Opens files by their number, around every mount.',
  },
  {
    calls: ['add_key', 'keyctl', 'request_key'],
    error: 'EPERM',
    why: 'Keyrings belong to a uid, not to a namespace: two sandboxes of a server that is not root share them, and so does the server.',
  },
  {
    calls: ['bpf', 'perf_event_open', 'userfaultfd', 'fanotify_init', 'lookup_dcookie'],
    error: 'EPERM',
    why: 'Kernel interfaces behind many privilege escalations; perf also measures other processes.',
  },
  {
    calls: ['io_uring_setup', 'io_uring_enter', 'io_uring_register'],
    error: 'ENOSYS',
    why: 'Does sockets and files past this filter, and has had many escalations; libuv and Bun do without.',
  },
  {
    calls: ['pidfd_getfd'],
    error: 'EPERM',
    why: 'Takes open descriptors out of other processes, such as those of pid 1.',
  },
  {
    calls: ['memfd_secret'],
    error: 'ENOSYS',
    why: 'Memory that nobody can look into from outside.',
  },
  {
    calls: ['ioctl'],
    when: { argument: 1, equals: [tiocsti, tioclinux] },
    error: 'EPERM',
    why: 'Types into the terminal of who started the server.',
  },
  {
    calls: [
      ...(['kexec_load', 'kexec_file_load', 'init_module', 'finit_module'] as const),
      ...(['delete_module', 'swapon', 'swapoff', 'reboot', 'acct', 'quotactl'] as const),
      ...(['quotactl_fd', 'syslog', 'iopl', 'ioperm', 'modify_ldt'] as const),
    ],
    error: 'EPERM',
    why: 'For administrators: refused here as well, should a capability ever be left.',
  },
]

/**
 * Besides, where no control group counts memory: what the watchdog cannot see. Node, npm and git never
 * ask for it; claude (Bun) has another way for what it sends to its children.
 */
export const uncountedRules: readonly Rule[] = [
  {
    calls: ['memfd_create', 'shmget'],
    error: 'ENOSYS',
    why: 'Memory that is in no process: it would count for nobody until the host has none left.',
  },
]
