/** Renames in JavaScript and TypeScript: a table of rename.test.ts. */
import type { Renamed } from './renamed.ts'

export const javascript: readonly Renamed[] = [
  {
    says: 'a function wherever it is called, not in strings, comments and properties',
    path: 'a.ts',
    symbol: 'old',
    before: `// old
export function old(a: number): number { return a > 0 ? old(a - 1) : x.old }
const text = 'old', key = { old: 1 }
export { old as kept }
const tag = old\`old \${old(1)}\`
type T = typeof old
`,
    after: `// old
export function fresh(a: number): number { return a > 0 ? fresh(a - 1) : x.old }
const text = 'old', key = { old: 1 }
export { fresh as kept }
const tag = fresh\`old \${fresh(1)}\`
type T = typeof fresh
`,
  },
  {
    says: 'a shorthand keeps its key',
    path: 'a.js',
    symbol: 'old',
    before: 'const old = 1\nconst o = { old, b: old }\n;({ old: p } = o)\n',
    after: 'const fresh = 1\nconst o = { old: fresh, b: fresh }\n;({ old: p } = o)\n',
  },
  {
    says: 'an assignment that destructures keeps its key',
    path: 'a.js',
    symbol: 'old',
    before: 'let old = 1\n;({ old } = o)\n;[old] = o\nfor (old of o) {}\n',
    after: 'let fresh = 1\n;({ old: fresh } = o)\n;[fresh] = o\nfor (fresh of o) {}\n',
  },
  {
    says: 'a class as type, value and JSX element',
    path: 'a.tsx',
    symbol: 'Old',
    to: 'Fresh',
    before: 'class Old<T> {}\nconst a: Old<number> = new Old()\nconst b = <Old a={Old}></Old>\n',
    after:
      'class Fresh<T> {}\nconst a: Fresh<number> = new Fresh()\nconst b = <Fresh a={Fresh}></Fresh>\n',
  },
  {
    says: 'a name of a namespace, also behind the namespace',
    path: 'a.ts',
    symbol: 'N.old',
    before: 'namespace N { export const old = 1; old }\nN.old; other.old\n',
    after: 'namespace N { export const fresh = 1; fresh }\nN.fresh; other.old\n',
  },
  {
    says: 'a method behind `this`, arrow functions included',
    path: 'a.ts',
    symbol: 'A.old',
    before:
      'class A { old() { return () => this.old() }\n b = this.old()\n c = 1 }\nconst old = 1; old\n',
    after:
      'class A { fresh() { return () => this.fresh() }\n b = this.fresh()\n c = 1 }\nconst old = 1; old\n',
  },
  {
    says: 'a private field, whatever stands before it',
    path: 'a.js',
    symbol: 'A.#old',
    to: '#fresh',
    before: 'class A { #old = 1; eq(o) { return #old in o && o.#old === this.#old } }\n',
    after: 'class A { #fresh = 1; eq(o) { return #fresh in o && o.#fresh === this.#fresh } }\n',
  },
  {
    says: 'a static member and an enum member behind the name',
    path: 'a.ts',
    symbol: 'E.Old',
    before: 'enum E { Old, B }\nconst a = E.Old\n',
    after: 'enum E { fresh, B }\nconst a = E.fresh\n',
  },
  {
    says: 'a static method',
    path: 'a.ts',
    symbol: 'A.old',
    before: 'class A { static old() {} }\nA.old()\n',
    after: 'class A { static fresh() {} }\nA.fresh()\n',
  },
  ...[
    'function f(old) { old }',
    'const f = (old) => old',
    'const { old } = x',
    'const [a, ...old] = x',
  ]
    .concat(['try {} catch (old) {}', 'import { old } from "x"', 'import * as old from "x"'])
    .concat([
      'const f = ({ a: { old = 1 } }) => 1',
      'for (const old of x) {}',
      '{ class old {} }',
      'const f = function old() {}',
    ])
    .map((other) => ({
      says: `nothing beside another binding: ${other}`,
      ...{ path: 'a.js', symbol: 'old', before: `function old() {}\n${other}\n` },
      after: /uses are not clear: (the name|old) is declared( again)? on line 2/,
    })),
  {
    says: 'no overloaded function',
    path: 'a.ts',
    symbol: 'old',
    before: 'function old(a: string): void\nfunction old(a: number): void\n',
    after: /old is ambiguous: function on line 1, function on line 2/,
  },
  {
    says: 'no member behind anything else',
    path: 'a.ts',
    symbol: 'A.old',
    before: 'class A { old() {} }\nfunction f(a: A) { a.old() }\n',
    after: /it is unclear whether a is a A on line 2/,
  },
  {
    says: 'no member that `this` of another function may have',
    path: 'a.js',
    symbol: 'A.old',
    before: 'class A { old() { return function () { this.old() } } }\n',
    after: /unclear whether this is a A/,
  },
  {
    says: 'no member of a class that another one extends',
    path: 'a.js',
    symbol: 'A.old',
    before: 'class A { old() {} }\nclass B extends A { m() { this.old() } }\n',
    after: /unclear whether this is a A on line 2/,
  },
  {
    says: 'no field that a literal may make',
    path: 'a.ts',
    symbol: 'I.old',
    before: 'interface I { old: number }\nconst a: I = { old: 1 }\n',
    after: /unclear whether what has this key is a I on line 2/,
  },
  {
    says: 'no name that is taken',
    path: 'a.ts',
    symbol: 'old',
    before: 'const old = 1\nconst f = (fresh: number) => old\n',
    after: /fresh is used already, on line 2/,
  },
  ...['a b', 'a-b', '1a', '', '#a', 'class'].map((to) => ({
    says: `nothing to ${JSON.stringify(to)}`,
    ...{ path: 'a.ts', symbol: 'old', to, before: 'const old = 1\n' },
    after: /is no name here|no longer parses|too small|not a name/i,
  })),
  {
    says: 'no method to `constructor`',
    path: 'a.ts',
    symbol: 'A.old',
    to: 'constructor',
    before: 'class A { old() {} }\n',
    after: /constructor is not a name everywhere/,
  },
  {
    says: 'no static member behind a name that is declared again',
    path: 'a.js',
    symbol: 'A.old',
    before: 'class A { static old() {} }\nfunction f(A) { A.old() }\n',
    after: /unclear whether A is a A on line 2/,
  },
  {
    says: 'nothing beside an alias',
    path: 'a.ts',
    symbol: 'old',
    before: 'function old() {}\nnamespace M { import old = N.x; old }\n',
    after: /the name is declared again on line 2/,
  },
  {
    says: 'no name of a namespace that is declared again',
    path: 'a.ts',
    symbol: 'N.old',
    before: 'namespace N { export const old = 1 }\nfunction f(N: any) { N.old }\n',
    after: /its module is declared again on line 2/,
  },
  {
    says: 'nothing that is used where the file does not parse',
    path: 'a.js',
    symbol: 'old',
    before: 'function old() {}\nfunction ( { old\n',
    after: /the file does not parse on line 2/,
  },
]
