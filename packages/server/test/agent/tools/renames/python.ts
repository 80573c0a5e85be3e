/** Renames in Python: a table of rename.test.ts. */
import type { Renamed } from './renamed.ts'

export const python: readonly Renamed[] = [
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
    says: 'nothing in the body of a class that has the name, too',
    path: 'a.py',
    symbol: 'old',
    before: 'def old(): pass\nclass A:\n    old = 1\n    b = old\n',
    after: /unclear whose the name is on line 4/,
  },
]
