import type { Mutation } from './mutation.ts'

const limits = 'packages/server/src/sandbox/limits'
const test = 'packages/server/test/walls/limits.test.ts'
const noMemory = {
  file: `${limits}/cgroup1.ts`,
  find: "...(controllers.includes('memory') ? memory(limits) : []),",
  replace: '',
}

/** The walls of `limits.test.ts`. */
export const limitMutations: readonly Mutation[] = [
  {
    ...noMemory,
    wall: 'a limit on the memory of a session’s control group',
    test,
    title: 'a process that takes 200 MB in a session of 160 MB is killed',
  },
  {
    wall: 'every start enters its session’s control group before it forks',
    file: 'packages/server/src/sandbox/bubblewrap.ts',
    find: 'enter: (pid: number) => held.enter(pid),',
    replace: 'enter: () => Promise.resolve(),',
    test,
    title:
      'what is started apart, detached and in the background does not leave its session’s limits',
  },
  {
    wall: 'a limit on the processes of a session’s control group',
    file: `${limits}/cgroup1.ts`,
    find: "[{ file: 'pids.max', value: limits.processes }]",
    replace: '[]',
    test,
    title: 'a fork bomb of 64 ends at its session’s 32',
  },
  {
    wall: 'a quota of processor time of a session’s control group',
    file: `${limits}/cgroup1.ts`,
    find: "{ file: 'cpu.cfs_quota_us', value: Math.round(limits.cpus * cpuPeriodUs) },",
    replace: '',
    test,
    title: 'a busy loop on every processor gets its session’s fiftieth of one',
  },
  {
    wall: 'a watchdog over the memory of a session’s processes',
    file: `${limits}/watchdog.ts`,
    find: 'if (watch.memory && tally.memoryBytes > limits.memoryBytes) {',
    replace: 'if (watch.memory && tally.memoryBytes > limits.memoryBytes * 100) {',
    test,
    title:
      'without control groups, too, a process that takes 200 MB in a session of 160 MB is killed',
  },
  {
    wall: 'a limit on the processes of a slot’s uid',
    file: `${limits}/rlimit.ts`,
    find: 'o.byRlimit.processes && o.ownUid ?',
    replace: 'processes < 0 ?',
    test,
    title: 'without control groups, too, a fork bomb of 64 ends at its session’s 32',
  },
  ...['memfd_create', 'shmget'].map((call) => ({
    wall: `no memory that the watchdog cannot see, by ${call}`,
    file: 'packages/server/src/sandbox/create.ts',
    find: 'isCounted ? [] : uncountedRules',
    replace: 'isCounted ? uncountedRules : []',
    test,
    title: `without control groups nothing takes memory that is in no process, by ${call}`,
  })),
]
