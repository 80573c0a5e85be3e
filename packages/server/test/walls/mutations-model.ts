import type { Mutation } from './mutation.ts'

const gateway = 'packages/server/src/gateway'
const test = 'packages/server/test/walls/model.test.ts'

const read = { wall: 'bodies for the model are read', file: `${gateway}/model-body.ts`, test }
const walked = { ...read, file: `${gateway}/model-scan.ts` }
const listed = { wall: 'headers cross by name, never wholesale', test }

/** The walls of `model.test.ts`. */
export const modelMutations: readonly Mutation[] = [
  {
    ...read,
    find: '!Array.isArray(servers) || servers.length > 0',
    replace: 'servers === null',
    title: 'the provider connects to no MCP server for the agent',
  },
  {
    ...walked,
    find: "if (type == null || (typeof type === 'string' && clientTool.test(type))) return null",
    replace: "if (type == null || typeof type === 'string') return null",
    also: [
      {
        file: walked.file,
        find: '&& serverSide.test(type)',
        replace: "&& type === ''",
      },
    ],
    title: 'the provider fetches, searches and runs nothing for the agent',
  },
  {
    ...walked,
    find: '!(mayBeUrl || inlineSources.has(from))',
    replace: "from === ''",
    title: 'the provider opens no address that stands in a message',
  },
  {
    ...read,
    find: 'if (request.container != null)',
    replace: "if (request.container === '')",
    title: 'the provider continues no container of another session',
  },
  {
    ...read,
    wall: 'a session is kept to the models of its agent',
    find: 'if (pinned !== null) return pinned',
    replace: '',
    title: 'a shell asks for no dearer model than the agent’s',
  },
  {
    wall: 'a list of the model’s routes',
    file: `${gateway}/anthropic.ts`,
    find: '(\\/v1\\/messages(?:\\/count_tokens)?(?:\\?beta=true)?)$/',
    replace: '(\\/v1\\/.*)$/',
    test,
    title: 'of the provider’s API only messages are reached',
  },
  {
    ...listed,
    file: `${gateway}/anthropic-forward.ts`,
    find: "const requestHeaders = [\n  'accept',",
    replace: "const requestHeaders = [\n  'accept', 'authorization', 'cookie',",
    title: 'a key of the attacker’s own does not go to the provider',
  },
  {
    wall: 'the server’s key replaces any other',
    file: `${gateway}/anthropic-forward.ts`,
    find: '      ...o.model.headers,\n',
    replace: "      ...o.model.headers, ...pickHeaders(o.request.headers, ['x-api-key']),\n",
    test,
    title: 'a key of the attacker’s own does not go to the provider',
  },
  {
    ...listed,
    file: `${gateway}/git.ts`,
    find: "const requestHeaders = ['accept',",
    replace: "const requestHeaders = ['authorization', 'accept',",
    title: 'a token of the attacker’s own does not go to the git host',
  },
  {
    wall: 'credentials are taken off plain HTTP',
    file: `${gateway}/headers.ts`,
    find: "  'authorization',\n",
    replace: '',
    test,
    title: 'a credential of the attacker’s own does not go to a listed host over plain HTTP',
  },
  {
    wall: 'the budget is kept in the gateway',
    file: `${gateway}/meter.ts`,
    find: 'return this.#spentUsd >= this.#limitUsd',
    replace: 'return false',
    test,
    title: 'spending from the shell works, and ends at the budget with one request over it at most',
  },
  {
    ...walked,
    wall: 'what a request can cost at most is known before it goes',
    find: 'scan.hasPages = true',
    replace: 'scan.images += 1',
    title: 'documents sent from the shell at once overrun the budget by one of them at most',
  },
  {
    wall: 'what a body would become is counted as it comes',
    file: `${gateway}/json-count.ts`,
    find: 'const valuesMax = 100_000',
    replace: 'const valuesMax = 100_000_000',
    test,
    title: 'a body that would become millions of values is not read to its end',
  },
  {
    wall: 'request bodies have a bound together',
    file: `${gateway}/bodies.ts`,
    find: 'if (this.#bytes + bytes > sessionBytesMax) throw',
    replace: 'if (this.#bytes + bytes < 0) throw',
    test,
    title: 'bodies sent from the shell do not fill the memory of the server',
  },
]
