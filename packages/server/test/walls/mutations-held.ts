import type { Mutation } from './mutation.ts'

const held = {
  file: 'packages/server/src/gateway/held.ts',
  test: 'packages/server/test/walls/held.test.ts',
}

/** The walls of `held.test.ts`. */
export const heldMutations: readonly Mutation[] = [
  {
    ...held,
    wall: 'the lease is asked for before a credential leaves',
    find: 'if (!isHeld) throw new NotHeld(',
    replace: 'if (isHeld === null) throw new NotHeld(',
    title: 'what carries a credential leaves no session that another worker has by now',
  },
  {
    ...held,
    wall: 'a lease that cannot be asked for is not held',
    find: 'return null',
    replace: 'return true',
    title: 'what carries a credential does not leave while nobody can tell whose the session is',
  },
]
