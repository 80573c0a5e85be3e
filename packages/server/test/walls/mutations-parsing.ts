import type { Mutation } from './mutation.ts'

const gateway = 'packages/server/src/gateway'
const test = 'packages/server/test/walls/parsing.test.ts'

const manyRequests = {
  file: `${gateway}/one-request.ts`,
  find: 'this.isSecond = busy.has(socket)',
  replace: 'this.isSecond = false',
}

/** The walls of `parsing.test.ts`. */
export const parsingMutations: readonly Mutation[] = [
  {
    wall: 'a ClientHello has 16 records at most',
    file: `${gateway}/client-hello.ts`,
    find: '    if (parts.length === helloRecordsMax) return null\n',
    replace: '',
    test,
    title: 'a ClientHello in records of a byte each is not put together',
  },
  {
    wall: 'a connection takes one request at a time',
    ...manyRequests,
    test,
    title: 'of many requests in one packet one is answered',
  },
  {
    wall: 'a connection takes one request at a time',
    ...manyRequests,
    test,
    title: 'a connection has no more requests under way than one',
  },
]
