/** Renames in Rust: a table of rename.test.ts. */
import type { Renamed } from './renamed.ts'

export const rust: readonly Renamed[] = [
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
]
