/** Renames in Go: a table of rename.test.ts. */
import type { Renamed } from './renamed.ts'

export const go: readonly Renamed[] = [
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
    says: 'no type that is embedded with arguments',
    path: 'a.go',
    symbol: 'old',
    before: 'package p\ntype old[K any] struct{}\ntype b struct { *old[int] }\n',
    after: /unclear whose the name is on line 3/,
  },
]
