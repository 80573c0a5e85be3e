import type { Mutation } from './mutation.ts'

const disk = 'packages/server/src/sandbox/disk'
const test = 'packages/server/test/walls/counted.test.ts'

/** The walls of `counted.test.ts`. */
export const countedMutations: readonly Mutation[] = [
  {
    wall: 'a count that opens what was closed to it, and fails where it cannot',
    file: `${disk}/count.ts`,
    find: '-exec chmod u+rx {}',
    replace: '-exec true {}',
    also: [
      {
        file: `${disk}/count.ts`,
        find: '  if (/Permission denied/.test(result.stderr)) return null\n',
        replace: '',
      },
    ],
    test,
    title: 'what fills a counted workspace from a directory that it closed is killed',
  },
  {
    wall: 'a count of files without a name',
    file: `${disk}/count.ts`,
    find: 'files: unlinked, tmp: 0',
    replace: 'files: unlinked * 0, tmp: 0',
    test,
    title: 'what fills a counted workspace by a file without a name is killed',
  },
  {
    wall: 'a count that goes on after a kill',
    file: `${disk}/counted-disk.ts`,
    find: 'grown > keptBytesMax ?',
    replace: 'grown > keptBytesMax * 1e6 ?',
    test,
    title:
      'what fills a counted workspace again is killed again, and what keeps the work is spared',
  },
  {
    wall: 'a process is there as long as one of its threads',
    file: 'packages/server/src/sandbox/process-table.ts',
    find: " || (o.state === 'Z' && o.threads <= 1)",
    replace: " || o.state === 'Z'",
    test,
    title:
      'what fills a counted workspace by a file without a name, after its first thread ended, is killed',
  },
  {
    wall: 'a look at the descriptors of each thread',
    file: `${disk}/unlinked.ts`,
    find: 'threadsOf(pid)))).flat()',
    replace: 'threadsOf(pid)))).map(([first]) => String(first))',
    test,
    title: 'what fills it by a descriptor that only a thread has is killed',
  },
  {
    wall: 'an end for what cannot be counted',
    file: `${disk}/counted-disk.ts`,
    find: 'const failuresMax = 3',
    replace: 'const failuresMax = 1000',
    test,
    title: 'what leaves no process for the count of its workspace is killed',
  },
  {
    wall: 'an end before the host’s own disk is full',
    file: `${disk}/counted-disk.ts`,
    find: 'return isRunningOut(this.#root) ?',
    replace: 'return isRunningOut(this.#root) && this.#bytesMax < 0 ?',
    test,
    title: 'what runs is ended before the host’s own disk is full',
  },
]
