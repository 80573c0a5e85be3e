import type { Mutation } from './mutation.ts'

const scope = 'packages/server/src/gateway/github-scope.ts'
const route = 'packages/server/src/gateway/github-route.ts'
const test = 'packages/server/test/walls/github.test.ts'

/** The walls of `github.test.ts`. */
export const gitHubMutations: readonly Mutation[] = [
  {
    wall: 'one repository of the API a session',
    file: scope,
    find: 'repoAsked.toLowerCase() === repo.toLowerCase()',
    replace: 'repoAsked !== ""',
    also: [
      {
        file: scope,
        find: 'upstream: path + query',
        replace: 'upstream: o.url',
      },
    ],
    test,
    title: 'gh reads no other repository that the token may read',
  },
  {
    wall: 'paths of the API that can be read in one way only',
    file: scope,
    find: '.every((part) => segment.test(part) && !/^\\.+$/.test(part))',
    replace: ".every((part) => part !== '\\0')",
    test,
    title: 'no spelling of a path leads to another repository',
  },
  {
    wall: 'no commit of another repository in the network of forks',
    file: scope,
    find: "rest.some((part) => part.includes(':'))",
    replace: "rest.some((part) => part.includes('\\0'))",
    test,
    title: 'no fork is read by the name of its owner',
  },
  {
    wall: 'of a repository only what is said and checked there is read',
    file: scope,
    find: "return first === 'actions' ? readableActions.has(second) : readable.has(first)",
    replace: 'return readable.has(first) || second !== "\\0"',
    test,
    title: 'secrets, keys and settings of the repository are not read',
  },
  {
    wall: 'the API is written to by comments only',
    file: scope,
    find: "if (method === 'GET' || method === 'HEAD') {",
    replace: "if (method !== 'POST' || rest[0] !== 'issues') {",
    also: [
      {
        file: scope,
        find: "return first === 'actions' ? readableActions.has(second) : readable.has(first)",
        replace: 'return readable.has(first) || second !== "\\0"',
      },
    ],
    test,
    title: 'the API merges, moves, deletes and dispatches nothing',
  },
  {
    wall: 'comments where the order allows them',
    file: route,
    find: '? await context.hooks.mayComment(judged.number, signal)',
    replace: '? (await context.hooks.mayComment(judged.number, signal), null)',
    test,
    title: 'nothing is commented on that the order does not name',
  },
  {
    wall: 'no GraphQL with a credential of many repositories',
    file: scope,
    find: '    return graphql\n',
    replace: '    return graphql || true\n',
    test,
    title: 'GraphQL, whose queries show no repository, is not asked',
  },
  {
    wall: 'the credential is taken out of answers',
    file: route,
    find: '? [] : [credential])',
    replace: '? [] : [])',
    test,
    title: 'an API that repeats its credential does not tell it',
  },
  {
    wall: 'credentials that GitHub makes are taken out of answers',
    file: 'packages/server/src/gateway/minted.ts',
    find: 'done += rest.slice(0, end) + mark',
    replace: 'done += rest.slice(0, end)',
    also: [
      {
        file: 'packages/server/src/gateway/minted.ts',
        find: '      this.#isInValue = true\n',
        replace: '',
      },
    ],
    test,
    title: 'no credential that GitHub makes of its own is told',
  },
  {
    wall: 'no GraphQL that asks for a credential',
    file: route,
    find: 'return asksForMinted(document)',
    replace: 'return asksForMinted("")',
    test,
    title: 'no query asks for a credential under another name',
  },
  {
    wall: 'the settings of protected branches are not read',
    file: scope,
    find: 'more.some(isProtection)',
    replace: "more.includes('\\0')",
    test,
    title: 'secrets, keys and settings of the repository are not read',
  },
]
