import type { Mutation } from './mutation.ts'

const gateway = 'packages/server/src/gateway'
const test = 'packages/server/test/walls/parsing.test.ts'

const manyRequests = {
  file: `${gateway}/bounded-requests.ts`,
  find: 'this.isSecond = (o.underWay.get(socket) ?? null) !== null',
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
  {
    wall: 'tiny pieces of bodies are counted',
    file: `${gateway}/bounded-requests.ts`,
    find: '!this.takes(piece)',
    replace: 'this.isCut',
    test,
    title: 'a body in chunks of a byte each is not read to its end',
  },
  {
    wall: 'tiny pieces of answers are counted',
    file: `${gateway}/upstream.ts`,
    find: 'if (o.pieces !== null) limitPieces',
    replace: 'if (o.pieces === null) limitPieces',
    test,
    title: 'a host that answers in chunks of a byte each is not heard to the end',
  },
]
