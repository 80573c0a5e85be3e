/** What a rename touches and what it refuses, per language: the file after, or the reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CodeStage, openCode } from './code.ts'

interface Renamed {
  readonly says: string
  readonly path: string
  readonly symbol: string
  /** Default: `fresh`. */
  readonly to?: string
  readonly before: string
  /** The text after, or what the refusal says. */
  readonly after: string | RegExp
}

const renames: readonly Renamed[] = [
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
    says: 'a function, in f-strings too, but no keyword argument',
    path: 'a.py',
    symbol: 'old',
    before: 'def old(a):\n    return f"{old(a)} old"\n\nprint(x.old, f(old=old))\n',
    after: 'def fresh(a):\n    return f"{fresh(a)} old"\n\nprint(x.old, f(old=fresh))\n',
  },
  {
    says: 'a method behind self, cls and the class',
    path: 'a.py',
    symbol: 'A.old',
    before:
      'class A:\n    def old(self):\n        old = self.old\n        return cls.old, A.old, old\n',
    after:
      'class A:\n    def fresh(self):\n        old = self.fresh\n        return cls.fresh, A.fresh, old\n',
  },
  ...[
    'def f(old): pass',
    'def f(*, old=1): pass',
    'import old',
    'from x import old',
    'import x as old',
  ]
    .concat([
      'for old in x: pass',
      '[old for old in x]',
      'with x as old: pass',
      'x = lambda old: 1',
    ])
    .concat(['(old := 1)', 'old += 1', 'a, old = x', 'def f():\n  global old\n  old = 1'])
    .concat([
      'match x:\n  case old: pass',
      'try: pass\nexcept E as old: pass',
      'def f[old](): pass',
    ])
    .map((other) => ({
      says: `nothing beside another binding: ${other}`,
      ...{ path: 'a.py', symbol: 'old', before: `class old: pass\n${other}\n` },
      after: /uses are not clear: (the name|old) is declared/,
    })),
  {
    says: 'no property with a setter',
    path: 'a.py',
    symbol: 'A.old',
    before:
      'class A:\n  @property\n  def old(self): pass\n  @old.setter\n  def old(self, v): pass\n',
    after: /A.old is ambiguous/,
  },
  {
    says: 'no member behind anything else',
    path: 'a.py',
    symbol: 'A.old',
    before: 'class A:\n  old: int = 1\ndef f(a: A): return a.old\n',
    after: /unclear whether a is a A on line 3/,
  },
  {
    says: 'a function and a type, in all the places of types',
    path: 'a.go',
    symbol: 'Old',
    before:
      'package p\ntype Old struct{ a int }\nfunc (o *Old) M(b Old) []*Old { return []*Old{&Old{a: 1}} }\nvar m map[Old]q.Old\n',
    after:
      'package p\ntype fresh struct{ a int }\nfunc (o *fresh) M(b fresh) []*fresh { return []*fresh{&fresh{a: 1}} }\nvar m map[fresh]q.Old\n',
  },
  {
    says: 'a method behind the receiver of the type, and behind the type',
    path: 'a.go',
    symbol: 'T.old',
    before: 'package p\nfunc (t *T) old() { t.old() }\nfunc (x T) b() { x.old(); T.old(x) }\n',
    after:
      'package p\nfunc (t *T) fresh() { t.fresh() }\nfunc (x T) b() { x.fresh(); T.fresh(x) }\n',
  },
  {
    says: 'a field, in literals of the type too',
    path: 'a.go',
    symbol: 'T.old',
    before: 'package p\ntype T struct { old int }\nfunc (t T) f() T { return T{old: t.old} }\n',
    after:
      'package p\ntype T struct { fresh int }\nfunc (t T) f() T { return T{fresh: t.fresh} }\n',
  },
  {
    says: 'no method behind a receiver that is declared again',
    path: 'a.go',
    symbol: 'T.old',
    before: 'package p\nfunc (t *T) old() { t := x(); t.old() }\n',
    after: /unclear whether t is a T/,
  },
  {
    says: 'no type that is embedded',
    path: 'a.go',
    symbol: 'old',
    before: 'package p\ntype old struct{}\ntype b struct { *old }\n',
    after: /unclear whose the name is on line 3/,
  },
  {
    says: 'no variable that may be a key of a literal',
    path: 'a.go',
    symbol: 'old',
    before: 'package p\nvar old = 1\nvar b = T{old: 2}\n',
    after: /unclear whose the name is on line 3/,
  },
  ...['func f(old int) {}', 'func f() { old := 1 }', 'func f() (old int) { return }']
    .concat(['func f() { for _, old := range x {} }', 'func f() { var old int }'])
    .concat(['func f[old any]() {}', 'func f() { switch old := x.(type) {} }'])
    .map((other) => ({
      says: `nothing beside another binding: ${other}`,
      ...{ path: 'a.go', symbol: 'old', before: `package p\nvar old = 1\n${other}\n` },
      after: /the name is declared again on line 3/,
    })),
  {
    says: 'a function, in macros and in tests below it too',
    path: 'a.rs',
    symbol: 'old',
    before:
      'fn old(a: u8) -> u8 { self::old(a) }\nmod tests { use super::*; fn t() { assert_eq!(old(1), x.old, super::old(2)); } }\n',
    after:
      'fn fresh(a: u8) -> u8 { self::fresh(a) }\nmod tests { use super::*; fn t() { assert_eq!(fresh(1), x.old, super::fresh(2)); } }\n',
  },
  {
    says: 'a method behind self, Self and the type',
    path: 'a.rs',
    symbol: 'S.old',
    before:
      'struct S<T> { a: T }\nimpl<T> S<T> { fn old(&self) { self.old(); Self::old(self); S::<T>::old(self); println!("{}", self.old()) } }\n',
    after:
      'struct S<T> { a: T }\nimpl<T> S<T> { fn fresh(&self) { self.fresh(); Self::fresh(self); S::<T>::fresh(self); println!("{}", self.fresh()) } }\n',
  },
  {
    says: 'a field in literals and patterns of the type, with its shorthands',
    path: 'a.rs',
    symbol: 'S.old',
    before:
      'struct S { old: u8 }\nimpl S { fn new(old: u8) -> Self { Self { old } }\n fn f(&self) { let S { old } = self; S { old: self.old }; old } }\n',
    after:
      'struct S { fresh: u8 }\nimpl S { fn new(old: u8) -> Self { Self { fresh: old } }\n fn f(&self) { let S { fresh: old } = self; S { fresh: self.fresh }; old } }\n',
  },
  {
    says: 'a constant in a pattern',
    path: 'a.rs',
    symbol: 'OLD',
    to: 'FRESH',
    before: 'const OLD: u8 = 1;\nfn f(a: u8) { match a { OLD => 1, _ => 2 } }\n',
    after: 'const FRESH: u8 = 1;\nfn f(a: u8) { match a { FRESH => 1, _ => 2 } }\n',
  },
  ...['fn f(old: u8) {}', 'fn f() { let old = 1; }', 'fn f() { |old| 1; }', 'fn f<old>() {}']
    .concat(['fn f() { if let Some(old) = x {} }', 'fn f() { for old in x {} }'])
    .concat(['fn f() { let S { a: old } = x; }', 'fn f() { match x { old @ 1 => 1 } }'])
    .map((other) => ({
      says: `nothing beside another binding: ${other}`,
      ...{ path: 'a.rs', symbol: 'old', before: `fn old() {}\n${other}\n` },
      after: /the name is declared again on line 2/,
    })),
  {
    says: 'nothing that a `use` may mean, nor what another module has',
    path: 'a.rs',
    symbol: 'old',
    before: 'fn old() {}\nmod m { use super::old; fn f() { old() } }\n',
    after: /unclear whose the name is on line 2/,
  },
  {
    says: 'a class with its constructors',
    path: 'A.java',
    symbol: 'Old',
    to: 'Fresh',
    before:
      'class Old<T> { Old() {} static Old<?> f(Old<String>... o) { return new Old<>(); } void Old() {} }\nclass B extends Old { Object o = Old.f(); }\n',
    after:
      'class Fresh<T> { Fresh() {} static Fresh<?> f(Fresh<String>... o) { return new Fresh<>(); } void Old() {} }\nclass B extends Fresh { Object o = Fresh.f(); }\n',
  },
  {
    says: 'a method alone, behind this and as a reference',
    path: 'A.java',
    symbol: 'A.old',
    before:
      'class A { int old; void old() { old(); this.old(); f(this::old, () -> old()); A.old(); } }\n',
    after: /A.old is ambiguous/,
  },
  {
    says: 'a method alone, behind this and as a reference, beside variables of that name',
    path: 'A.java',
    symbol: 'A.old',
    before:
      'class A { void old(int old) { old(old); this.old(1); f(this::old, () -> old(2)); } }\n',
    after:
      'class A { void fresh(int old) { fresh(old); this.fresh(1); f(this::fresh, () -> fresh(2)); } }\n',
  },
  {
    says: 'a field alone and behind this',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { int old; int f() { return old + this.old + old(); } }\n',
    after: 'class A { int fresh; int f() { return fresh + this.fresh + old(); } }\n',
  },
  ...[
    'void f(int old) { this.old = old; }',
    'void f() { int old = 1; }',
    'void f() { g(old -> 1); }',
  ]
    .concat(['void f() { for (var old : x) {} }', 'void f() { if (o instanceof String old) {} }'])
    .concat(['void f() { try {} catch (E old) {} }'])
    .map((other) => ({
      says: `nothing beside another variable: ${other}`,
      ...{ path: 'A.java', symbol: 'A.old', before: `class A { int old;\n${other} }\n` },
      after: /the name is declared again on line 2/,
    })),
  {
    says: 'no method that an inner class may have inherited',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { void old() {}\n class B extends C { void f() { old(); } } }\n',
    after: /unclear whose the name is on line 2/,
  },
  {
    says: 'a class before `new` of a method reference',
    path: 'A.java',
    symbol: 'Old',
    before: 'class Old { Object o = f(Old::new, Old::m, Old[]::new, x::Old); }\n',
    after: 'class fresh { Object o = f(fresh::new, fresh::m, fresh[]::new, x::Old); }\n',
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
    says: 'nothing in the body of a class that has the name, too',
    path: 'a.py',
    symbol: 'old',
    before: 'def old(): pass\nclass A:\n    old = 1\n    b = old\n',
    after: /unclear whose the name is on line 4/,
  },
  {
    says: 'no type that is embedded with arguments',
    path: 'a.go',
    symbol: 'old',
    before: 'package p\ntype old[K any] struct{}\ntype b struct { *old[int] }\n',
    after: /unclear whose the name is on line 3/,
  },
  {
    says: 'a function, not the macro of that name',
    path: 'a.rs',
    symbol: 'old',
    before: 'fn old() {}\nfn f() { old!(old, x != old); println!("{}", old!(old())); }\n',
    after: 'fn fresh() {}\nfn f() { old!(fresh, x != fresh); println!("{}", old!(fresh())); }\n',
  },
  {
    says: 'a macro, not the function of that name',
    path: 'a.rs',
    symbol: 'old',
    before:
      'macro_rules! old { () => {} }\nfn f() { old!(); x::old(); assert!(old!() || old()); }\n',
    after:
      'macro_rules! fresh { () => {} }\nfn f() { fresh!(); x::old(); assert!(fresh!() || old()); }\n',
  },
  {
    says: 'no trait that a derive may name',
    path: 'a.rs',
    symbol: 'Old',
    before: 'trait Old {}\n#[derive(Old)]\nstruct S;\n',
    after: /unclear whose the name is on line 2/,
  },
  {
    says: 'no field that a macro may name',
    path: 'a.rs',
    symbol: 'S.old',
    before: 'struct S { old: u8 }\nfn f() { m!(S { old: 1 }); }\n',
    after: /unclear whether what has this key is a S on line 2/,
  },
  {
    says: 'a static method behind a class with constructors',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { A() {} static void old() {} }\nclass B { void f() { A.old(); } }\n',
    after: 'class A { A() {} static void fresh() {} }\nclass B { void f() { A.fresh(); } }\n',
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
  {
    says: 'no overloaded method',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { void old() {}\n void old(int a) {} }\n',
    after: /A.old is ambiguous: method on line 1, method on line 2/,
  },
]

async function check(
  stage: CodeStage,
  { path, symbol, to = 'fresh', before, after }: Renamed,
): Promise<void> {
  stage.files.set(path, Buffer.from(before))
  const edited = stage.edit(path, { symbol, operation: 'rename', new_name: to })
  if (typeof after === 'string') return assert.equal(await edited, after)
  await assert.rejects(edited, after)
  assert.equal(stage.files.get(path)?.toString(), before)
}

test('a rename touches the names that are the symbol, and nothing when that is not clear', async (t) => {
  await using stage = openCode()
  for (const renamed of renames)
    await t.test(`${renamed.path}: ${renamed.says}`, () => check(stage, renamed))
})
