import type { Mutation } from './mutation.ts'

const test = 'packages/server/test/walls/secret.test.ts'
const gateway = 'packages/server/src/gateway'
const route = { file: `${gateway}/secret.ts`, test }
const rule = { file: 'packages/server/src/runner/secrets.ts', test }

/** The walls of `secret.test.ts`. */
export const secretMutations: readonly Mutation[] = [
  {
    wall: 'a secret’s rule names its repositories',
    ...rule,
    find: 'repositories.some((each) => matches.includes(each))',
    replace: 'repositories.length > 0',
    title: 'a secret of one repository is not there for the task of another',
  },
  {
    wall: 'a secret’s rule is for GITHUB_URL alone',
    ...rule,
    find: ' || origin !== config.github.url.origin',
    replace: '',
    title: 'a secret of one repository is not there for the task of another',
  },
  {
    wall: 'environments name their secrets',
    ...rule,
    find: 'names.includes(name)',
    replace: 'names.length > 0 && name !== ""',
    title: 'a secret that the environment does not name is not there',
  },
  {
    wall: 'networks of an environment: none is none',
    ...rule,
    find: "environment.networking.type === 'none' || ",
    replace: '',
    title: 'a session without a network has no secret, though its environment names some',
  },
  {
    wall: 'answers are scrubbed',
    ...route,
    find: 'scrubber.stream(bounded(from, answerBytesMax), answers.inTurn)',
    replace: 'bounded(from, answerBytesMax)',
    title: 'a host that repeats what it is sent does not give the secret away',
  },
  {
    wall: 'answers are scrubbed',
    ...route,
    find: 'scrubber.text(name ===',
    replace: 'String(name ===',
    title: 'a host that repeats what it is sent does not give the secret away',
  },
  {
    wall: 'nothing is answered in parts',
    ...route,
    find: ", 'if-range', 'range'])",
    replace: '])',
    title: 'a host that repeats what it is sent does not give the secret away in parts',
  },
  {
    wall: 'credentials from inside are left out',
    ...route,
    find: 'forwardableHeaders(request.headers)',
    replace: 'request.headers',
    title: 'no credential of the sandbox’s own goes along with a secret',
  },
  {
    wall: 'credentials from inside are left out',
    ...route,
    find: " && !name.includes('_')",
    replace: '',
    title: 'no other spelling of a secret’s header goes along with it',
  },
  {
    wall: 'paths that every server reads alike',
    file: `${gateway}/secret-request.ts`,
    find: 'if (!isPlain(path) || !isPrintable(query))',
    replace: 'if (!isPlain("/") || !isPrintable(query))',
    test,
    title: 'no spelling of a path leads beside those that a secret is for',
  },
  {
    wall: 'paths that a secret is for',
    file: `${gateway}/secret-request.ts`,
    find: 'if (!secret.paths.some((each) => isBelow(path, each)))',
    replace: 'if (!isBelow(path, "/"))',
    test,
    title: 'no spelling of a path leads beside those that a secret is for',
  },
  {
    wall: 'a host proves its name',
    file: `${gateway}/upstream.ts`,
    find: '{ rejectUnauthorized: true }',
    replace: '{ rejectUnauthorized: false }',
    test,
    title: 'a host without the certificate of its name is not told the secret',
  },
]
