import type { Mutation } from './mutation.ts'

const file = 'packages/server/src/gateway/lookups.ts'
const test = 'packages/server/test/gateway/lookups.test.ts'

/** The walls of `lookups.test.ts`: around the threads of the system's resolver. */
export const lookupMutations: readonly Mutation[] = [
  {
    wall: 'one look-up of a name for all',
    file,
    find: 'if (known !== undefined) return known',
    replace: '',
    test,
    title:
      'a name is looked up once for all who ask meanwhile, of every session, and for five seconds',
  },
  {
    wall: 'a bound on the look-ups of a session',
    file,
    find: 'if (underWay >= sessionLookupsMax) throw new TooManyLookups()',
    replace: '',
    test,
    title: 'a session has four names looked up at once, and those of clients that left count',
  },
  {
    wall: 'a bound on the names that are kept',
    file,
    find: 'if (this.#entries.size < keptMax) return',
    replace: 'return',
    test,
    title: 'a thousand names are kept, the newest',
  },
]
