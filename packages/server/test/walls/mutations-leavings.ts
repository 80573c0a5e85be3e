import type { Mutation, Patch } from './mutation.ts'

const script = 'packages/server/src/workspace/files-script.ts'
const test = 'packages/server/test/walls/leavings.test.ts'

const followed: Patch = {
  file: script,
  find: 'const fd = openSync(at(directory, name), pathOnly | O_NOFOLLOW)\n    return',
  replace: 'const fd = openSync(at(directory, name), pathOnly)\n    return',
}

/** The walls of `leavings.test.ts`. */
export const leavingsMutations: readonly Mutation[] = [
  {
    wall: 'links are not followed',
    ...followed,
    test,
    title: 'a link in place of a file is not followed, not even inside',
  },
  {
    wall: 'links are not followed',
    file: script,
    find: 'const asDirectory = pathOnly | O_DIRECTORY | O_NOFOLLOW',
    replace: 'const asDirectory = pathOnly | O_DIRECTORY',
    also: [followed],
    test,
    title: 'a directory of a file that is a link is not followed',
  },
  {
    wall: 'only files are opened',
    file: script,
    find: 'const { fd, stats } = look(place)\n  if (!stats.isFile())',
    replace: 'const { fd, stats } = look(place)\n  if (stats.size < 0)',
    test,
    title: 'a pipe in place of a file is not waited for',
  },
  {
    wall: 'the log is JSON',
    file: 'packages/server/src/log.ts',
    find: 'return pino({\n',
    replace: 'return pino({ hooks: { streamWrite: (line: string) => JSON.parse(line).msg },\n',
    test,
    title: 'what an agent says writes no control character into the log',
  },
  {
    wall: 'descriptors that the server inherited are covered',
    file: 'packages/server/src/sandbox/running.ts',
    find: 'if (nothing !== null) stdio.push(nothing)',
    replace: 'stdio.push(descriptor)',
    test,
    title: 'a directory that the server has open is not open inside',
  },
]
