/** What is wrong with an order: the tables of bad-input.test.ts. */
import type { Sent } from './fixture.ts'

/** Every field of an order that can be wrong: the camelCase name, the bad value, what is said. */
export const badFields: readonly (readonly [field: string, value: unknown, ...says: string[]])[] = [
  ['type', undefined, 'expected one of refactor, analysis, test, deploy, custom', 'got nothing'],
  ['type', 'build', 'got "build"'],
  ['type', 7, 'got 7'],
  ['repoUrl', undefined, 'expected a string, got nothing'],
  ['repoUrl', ['x'], 'expected a string, got an array of 1'],
  ['repoUrl', '', 'expected a repository URL', 'got ""'],
  ['repoUrl', '/srv/git/app', 'got "/srv/git/app"'],
  ['repoUrl', '../app', 'got "../app"'],
  ['repoUrl', 'file:///srv/git/app', 'got "file:///srv/git/app"'],
  ['repoUrl', 'git://github.com/acme/app', 'got "git://github.com/acme/app"'],
  ['repoUrl', 'ext::sh -c id', 'got "ext::sh -c id"'],
  ['repoUrl', '--upload-pack=id', 'got "--upload-pack=id"'],
  ['repoUrl', 'https://github.com', 'with the path of a repository'],
  ['repoUrl', 'https:///acme/app', 'got "https:///acme/app"'],
  ['repoUrl', 'https://github.com/acme/../app', 'without . or .. in its path'],
  ['repoUrl', 'https://github.com/acme/%2e%2E/app', 'without . or .. in its path'],
  ['repoUrl', 'https://github.com/acme/%62bb', 'without needless escapes'],
  ['repoUrl', 'https://github.com/acme/my%20app', 'expected /owner/name of a repository on GitHub'],
  ['repoUrl', 'https://github.com/acme/app/tree/main', 'expected /owner/name'],
  ['repoUrl', 'https://github.com/acme', 'expected /owner/name'],
  ['repoUrl', 'https://git.example.com/acme/a%2Fb', 'without needless escapes'],
  ['repoUrl', 'https://git.example.com/acme/%2562bb', 'without needless escapes'],
  ['repoUrl', 'https://git.example.com/acme/%zz', 'with the path of a repository'],
  ['repoUrl', 'https://github.com/acme/app?x=1', 'without a query'],
  ['repoUrl', 'https://github.com/acme/app#main', 'without a query, a fragment'],
  ['repoUrl', 'https://github.com/acme/app\n', 'without spaces or control characters'],
  ['repoUrl', 'https://github.com/acme/a b', 'without spaces'],
  ['repoUrl', 'https://github.com\\acme/app', 'a backslash'],
  ['repoUrl', 'git@github.com:../app.git', 'without . or .. in its path'],
  ['repoUrl', 'ssh://root@github.com/acme/app', 'got "ssh://***@github.com/acme/app"'],
  ['repoUrl', 'http://10.0.0.1/acme/app', 'GATEWAY_ALLOW_PRIVATE, got "http://10.0.0.1/acme/app"'],
  ['repoUrl', `https://github.com/${'a'.repeat(2048)}`, 'expected at most 2048 characters'],
  ['instructions', undefined, 'expected a string, got nothing'],
  ['instructions', '', 'expected at least 1 character, got ""'],
  ['instructions', ' \n', 'expected text that is not blank'],
  ['instructions', 'a\0b', 'expected text without NUL', String.raw`got "a\u0000b"`],
  [
    'instructions',
    'a'.repeat(100_001),
    'expected at most 100000 characters',
    '(100001 characters)',
  ],
  ['priority', 'urgent', 'expected one of low, medium, high, got "urgent"'],
  ['priority', null, 'got null'],
  ['baseBranch', 5, 'expected a string, got 5'],
  ['baseBranch', '', 'expected the name of a branch', 'got ""'],
  ['baseBranch', '-x', 'got "-x"'],
  ['baseBranch', 'a..b', 'got "a..b"'],
  ['baseBranch', 'a b', 'got "a b"'],
  ['baseBranch', 'refs/heads/main', 'got "refs/heads/main"'],
  ['baseBranch', 'a/.b', 'got "a/.b"'],
  ['baseBranch', 'a.lock', 'got "a.lock"'],
  ['baseBranch', 'a@{1}', 'got "a@{1}"'],
  ['baseBranch', 'a'.repeat(256), 'expected at most 255 characters'],
  ['setup', 'npm ci', 'expected an array, got "npm ci"'],
  ['setup', [1], 'expected a string, got 1'],
  ['setup', Array(21).fill('true'), 'expected at most 20 entries, got an array of 21'],
  ['checks', [''], 'expected at least 1 character, got ""'],
  ['checks', ['x'.repeat(4001)], 'expected at most 4000 characters'],
  ['checks', { run: 'x' }, 'expected an array, got an object'],
  ['commands', [null], 'expected a string, got null'],
  ['commands', ['deploy'], 'expected none', 'only a task of type deploy', 'got an array of 1'],
  ['workdir', '/etc', 'expected a relative path', 'got "/etc"'],
  ['workdir', 'a/../../b', 'without ..'],
  ['workdir', '', 'got ""'],
  ['workdir', 'a\\b', 'expected a relative path'],
  ['workdir', '.git/hooks', 'got ".git/hooks"'],
  ['workdir', 'a'.repeat(1025), 'expected at most 1024 characters'],
  ['timeLimitMinutes', '60', 'expected a number, got "60"'],
  ['timeLimitMinutes', 1.5, 'expected a whole number, got 1.5'],
  ['timeLimitMinutes', 0, 'expected at least 1, got 0'],
  ['timeLimitMinutes', 1381, 'expected at most 1380, got 1381'],
  ['maxBudgetUsd', '5', 'expected a number, got "5"'],
  ['maxBudgetUsd', 0, 'expected more than 0, got 0'],
  ['maxBudgetUsd', 10_001, 'expected at most 10000, got 10001'],
  ['pullRequest', 'draft', 'expected an object, got "draft"'],
  ['pullRequest', { draft: 1 }, 'draft: expected true or false, got 1'],
  ['pullRequest', { reviewers: ['a b'] }, 'reviewers.0: expected a login', 'got "a b"'],
  ['pullRequest', { labels: ['a\0'] }, 'labels.0: expected text without NUL'],
  ['pullRequest', { colour: 1 }, 'colour: unknown field, got 1'],
  ['callbackUrl', 'example.com/done', 'expected an https URL', 'got "example.com/done"'],
  ['callbackUrl', 'ftp://example.com/', 'got "ftp://example.com/"'],
  ['callbackUrl', 'https://example.com/#x', 'without credentials and fragment'],
  ['callbackUrl', 'http://127.0.0.1/', 'CALLBACK_ALLOW, got "http://127.0.0.1/"'],
  ['callbackUrl', 'https://10.0.0.1/', 'public address', 'got "https://10.0.0.1/"'],
  ['callbackUrl', 'https://[::1]/', 'public address'],
  ['callbackUrl', 'https://0x7f000001/', 'public address'],
  ['repoUrl', 'https://169.254.169.254/a/b', 'public address'],
  ['callbackUrl', `https://example.com/${'a'.repeat(2048)}`, 'expected at most 2048 characters'],
  ['context', 'x'.repeat(4096), 'expected at most 4096 bytes of JSON, not 4098'],
  ['context', { a: '\ud800' }, 'unpaired surrogates', 'got an object'],
  ['payload', [], 'expected an object, got an array of 0'],
  ['payload', 'x', 'expected an object, got "x"'],
  ['payload', { a: 'x'.repeat(65_536) }, 'expected at most 65536 bytes of JSON'],
  ['payload', nested(33), 'expected JSON of at most 32 levels'],
  ['labels', 'nightly', 'expected an array, got "nightly"'],
  ['labels', [1], 'labels.0: expected a string, got 1'],
  ['labels', ['a', 'B'], 'labels.1: expected 1 to 63 of a-z, 0-9', 'got "B"'],
  ...['', '-a', 'a b', 'ä', 'a'.repeat(64), "a'", 'a\0', '%'].map(
    (label) => ['labels', [label], 'labels.0: expected 1 to 63 of'] as const,
  ),
  ['labels', Array(21).fill('a'), 'expected at most 20 entries, got an array of 21'],
  ['startAt', null, 'got null'],
  ['startAt', 'tomorrow', 'got "tomorrow"'],
  ['startAt', 1e300, 'got 1e+300'],
  ['startAt', true, 'got true'],
  ['allowWorkflowChanges', true, 'unknown field, got true'],
  ['colour', 'red', 'unknown field, got "red"'],
]

const dayMs = 24 * 3600 * 1000
/** 31 days ahead, of which 30 are taken. */
const tooLate = Date.now() + 31 * dayMs

/** Of the start time, which has a form of its own on each route. */
export const badStarts: Readonly<Record<string, typeof badFields>> = {
  '/api/workflows': [
    ['startAt', '2026-12-01T08:00:00Z', 'expected a number, got "2026-12-01T08:00:00Z"'],
    ['startAt', 1.5, 'expected a whole number, got 1.5'],
    ['startAt', -1, 'expected a time after 2020', 'got -1'],
    ['startAt', 1_796_000_000, 'milliseconds since 1970', 'got 1796000000'],
    ['startAt', tooLate, 'expected a time at most 30 days ahead', `got ${tooLate}`],
  ],
  '/v1/tasks': [
    ['startAt', 1_796_000_000_000, 'expected a string, got 1796000000000'],
    ['startAt', '', 'expected an RFC 3339 time', 'got ""'],
    ['startAt', '2026-12-01', 'expected an RFC 3339 time', 'got "2026-12-01"'],
    ['startAt', '2026-12-01T08:00:00', 'expected an RFC 3339 time'],
    ['startAt', '2026-02-30T08:00:00Z', 'expected an RFC 3339 time'],
    ['startAt', '2026-12-01T08:00:00+25:00', 'expected an RFC 3339 time'],
    ['startAt', 'Tue, 01 Dec 2026 08:00:00 GMT', 'expected an RFC 3339 time'],
    ['startAt', '1970-01-20T00:00:00Z', 'expected a time after 2020'],
    ['startAt', '9999-12-31T23:59:59Z', 'expected a time at most 30 days ahead'],
    ['startAt', new Date(tooLate).toISOString(), 'expected a time at most 30 days ahead'],
  ],
}

/** Faults that are found at different depths, in one order: every one of them is named. */
export const badTogether: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  [
    'a receiver that is not taken, and a bad field',
    { callbackUrl: 'http://a.example/', priority: 1 },
  ],
  ['a repository that is not taken, and a bad field', { repoUrl: 'http://a.example/b', setup: 1 }],
  ['commands that are not for it, and a bad field', { commands: ['a'], timeLimitMinutes: 0 }],
  [
    'commands that are not for it, and a field that is missing',
    { commands: ['a'], instructions: undefined },
  ],
  [
    'a receiver that is not taken, and an unknown field',
    { callbackUrl: 'http://[::1]/', colour: 1 },
  ],
  [
    'everything that is not taken, and every other kind of fault',
    {
      repoUrl: 'http://a.example/b',
      callbackUrl: 'http://a.example/',
      commands: ['a'],
      instructions: ' ',
      priority: null,
      maxBudgetUsd: '1',
      context: 'x'.repeat(5000),
      labels: 'x',
      startAt: false,
      colour: 'red',
    },
  ],
]

/** Bodies that are JSON and no order. */
export function badBodies(
  base: object,
): readonly (readonly [what: string, sent: Sent, ...says: string[]])[] {
  return [
    ['no body', {}, 'type', 'got nothing'],
    ['an empty body', { body: '' }, 'type', 'got nothing'],
    ['an array', { body: [base] }, 'body: expected an object, got an array of 1'],
    ['a string', { body: '"x"' }, 'body: expected an object, got "x"'],
    ['null', { body: 'null' }, 'body: expected an object, got null'],
    [
      'a field called __proto__',
      { body: `{"__proto__":1,${JSON.stringify(base).slice(1)}` },
      '__proto__: unknown field',
    ],
    [
      'a number that no double holds',
      { body: `{"context":[1e999],${JSON.stringify(base).slice(1)}` },
      'context: expected JSON with numbers that a double can hold',
    ],
  ]
}

function nested(levels: number): unknown {
  return Array.from({ length: levels - 1 }).reduce((inner) => ({ a: inner }), {})
}
