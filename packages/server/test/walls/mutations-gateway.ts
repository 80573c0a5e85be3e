import type { Mutation } from './mutation.ts'

const gateway = 'packages/server/src/gateway'
const test = 'packages/server/test/walls/gateway.test.ts'

const everyRef = {
  file: `${gateway}/receive-pack.ts`,
  find: 'if (!this.#refs.includes(ref))',
  replace: 'if (ref === "")',
}
const anyDeletion = {
  file: `${gateway}/receive-pack.ts`,
  find: 'return /^0+$/.test(newId) ?',
  replace: 'return newId === "" ?',
}
const lists = { wall: 'an allow-list of hosts and ports, compared exactly', test }
const judged = { wall: 'resolved addresses are judged', file: `${gateway}/judge.ts`, test }

/** Kinds of addresses that are refused; the list of `judge.ts` without one of them. */
const ranges = [
  "range('link-local (cloud metadata lives there)', ['169.254.0.0/16']),",
  "range('private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']),",
  "range('shared address space of a carrier', ['100.64.0.0/10']),",
  "range('unique local (private)', ['fc00::/7']),",
  "range('link-local or site-local', ['fe80::/10', 'fec0::/10']),",
  "range('translated to IPv4', ['64:ff9b::/96', '64:ff9b:1::/48']),",
  "range('6to4, which hides an IPv4 address', ['2002::/16']),",
]

/** The walls of `gateway.test.ts`. */
export const gatewayMutations: readonly Mutation[] = [
  {
    wall: 'pushes are read, and only to the task’s branches',
    ...everyRef,
    test,
    title: 'a push to main does not move it',
  },
  {
    wall: 'pushes are read, and only to the task’s branches',
    ...everyRef,
    also: [anyDeletion],
    test,
    title: 'a push does not delete a branch of others',
  },
  {
    wall: 'no deletions',
    ...anyDeletion,
    test,
    title: 'a push does not delete the branch of the task either',
  },
  {
    wall: 'every command of a push is judged',
    file: `${gateway}/receive-pack.ts`,
    find: 'this.#commands.map((each)',
    replace: 'this.#commands.slice(-1).map((each)',
    test,
    title: 'a push of the task’s branch takes no other branch along',
  },
  {
    wall: 'one repository a session',
    file: `${gateway}/git-request.ts`,
    find: 'if (!isOwn && !mayRead(',
    replace: "if (repository === '' && !mayRead(",
    // Behind it stands a second one: another repository has no credential of this one's.
    also: [
      {
        file: `${gateway}/git-request.ts`,
        find: 'isOwn ? git.credential : (git.credentialAlso?.(repository) ?? fixedCredential(null))',
        replace: 'git.credential',
      },
    ],
    test,
    title: 'another repository is not fetched',
  },
  {
    wall: 'paths of plain characters only',
    file: `${gateway}/git-request.ts`,
    find: "endpoint === '' || !isPlain(repository)",
    replace: "endpoint === ''",
    test,
    title: 'no spelling of a path leads to the repository of another owner',
  },
  {
    ...lists,
    file: `${gateway}/connect.ts`,
    find: 'if (!grants(policy, o.target))',
    replace: "if (host === '')",
    title: 'a host that is not listed is not reached, though it may be private',
  },
  {
    wall: 'networks of an environment: none is none',
    file: `${gateway}/network.ts`,
    find: "    case 'none':\n      return false\n",
    replace: "    case 'none':\n",
    test,
    title: 'a session without a network reaches no host, though some are listed',
  },
  {
    ...lists,
    file: `${gateway}/policy.ts`,
    find: 'entry.host.toLowerCase() === host',
    replace: 'host.startsWith(entry.host.toLowerCase())',
    title: 'a host is not reached by a name that only begins like a listed one',
  },
  {
    ...lists,
    file: `${gateway}/policy.ts`,
    find: ' && entry.port === target.port',
    replace: '',
    title: 'a listed host is not reached on another port',
  },
  {
    wall: 'names only, no addresses',
    file: `${gateway}/resolve.ts`,
    find: 'if (mayBePrivate) return { address: host, family: literal }',
    replace: 'return { address: host, family: literal }',
    test,
    title: 'an address is no host, in no spelling, even if it is listed',
  },
  {
    ...judged,
    file: `${gateway}/resolve.ts`,
    find: 'of o.mayBePrivate ? [] : o.found',
    replace: 'of o.found.slice(1)',
    title: 'a listed name that leads to a private address is not followed',
  },
  {
    ...judged,
    find: "range('an IPv4 address in IPv6 form', ['::ffff:0:0/96', '::ffff:0:0:0/96']),",
    replace: '',
    title: 'a listed name that leads to an IPv4 address in IPv6 form is not followed',
  },
  {
    wall: 'one resolution: the judged address is dialled',
    file: `${gateway}/resolve.ts`,
    find: '  return choose({ host, port: o.port, found: found.slice(0, addressesMax), mayBePrivate })',
    replace:
      '  choose({ host, port: o.port, found: found.slice(0, addressesMax), mayBePrivate })\n' +
      '  return choose({ host, port: o.port, found: await lookup(host), mayBePrivate })',
    // What a look-up said is kept for a moment, and would be what it said first.
    also: [
      { file: `${gateway}/lookups.ts`, find: 'const keptMs = 5_000', replace: 'const keptMs = 0' },
    ],
    test,
    title: 'the address that was judged is dialled, whatever the name says next',
  },
  {
    wall: 'the host that TLS is for is the tunnel’s',
    file: `${gateway}/client-hello.ts`,
    find: 'if (canonicalHost(serverName) === host) return passed',
    replace: 'return passed',
    test,
    title: 'a tunnel to a listed host is no front for another one behind the same address',
  },
  ...ranges.map((find) => ({
    ...judged,
    find,
    replace: '',
    title: 'no name leads to a metadata service or into a private network',
  })),
  {
    wall: 'no more ways out than the audit names',
    file: `${gateway}/decisions.ts`,
    find: 'const waysMax = 200',
    replace: 'const waysMax = 1000',
    test,
    title: 'no flood of decoys keeps a host that was reached out of the audit',
  },
]
