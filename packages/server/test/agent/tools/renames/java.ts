/** Renames in Java: a table of rename.test.ts. */
import type { Renamed } from './renamed.ts'

export const java: readonly Renamed[] = [
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
    says: 'a static method behind a class with constructors',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { A() {} static void old() {} }\nclass B { void f() { A.old(); } }\n',
    after: 'class A { A() {} static void fresh() {} }\nclass B { void f() { A.fresh(); } }\n',
  },
  {
    says: 'no overloaded method',
    path: 'A.java',
    symbol: 'A.old',
    before: 'class A { void old() {}\n void old(int a) {} }\n',
    after: /A.old is ambiguous: method on line 1, method on line 2/,
  },
]
