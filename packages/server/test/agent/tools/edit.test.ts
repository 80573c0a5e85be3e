/** What an edit of a symbol makes of a file, and what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCode } from './code.ts'

interface EditCase {
  readonly says: string
  readonly path: string
  readonly input: Readonly<Record<string, unknown>>
  readonly before: string
  /** The text after, or what the refusal says. */
  readonly after: string | RegExp
}

const replace = (symbol: string, text: string) => ({ operation: 'replace', symbol, text })
const before = (symbol: string, text: string) => ({ operation: 'insert_before', symbol, text })
const after = (symbol: string, text: string) => ({ operation: 'insert_after', symbol, text })

const edits: readonly EditCase[] = [
  {
    says: 'a function is replaced with its export, its comment stays',
    path: 'a.ts',
    input: replace('f', 'export function f(a: string) {\n  return a\n}\n'),
    before: '// About f.\nexport function f() {}\nconst a = 1\n',
    after: '// About f.\nexport function f(a: string) {\n  return a\n}\nconst a = 1\n',
  },
  {
    says: 'a decorated method of a nested class is replaced with its decorators, tabs kept',
    path: 'a.ts',
    input: replace('A.m', '\t@b\n\tm() {\n\t\treturn 2\n\t}'),
    before: 'class A {\n\t@a({ x: 1 })\n\t@b\n\tm() {\n\t\treturn 1\n\t}\n\n\tn() {}\n}\n',
    after: 'class A {\n\t@b\n\tm() {\n\t\treturn 2\n\t}\n\n\tn() {}\n}\n',
  },
  {
    says: 'a method of a class in a class',
    path: 'a.py',
    input: replace('A.B.m', '        def m(self):\n            return 2'),
    before:
      'class A:\n    class B:\n        @dec\n        def m(self):\n            return 1\n\n    def m(self): pass\n',
    after:
      'class A:\n    class B:\n        def m(self):\n            return 2\n\n    def m(self): pass\n',
  },
  {
    says: 'CRLF stays CRLF, whatever the text has',
    path: 'a.js',
    input: replace('f', 'function f() {\n  g()\n}\n'),
    before: 'function f() {}\r\nfunction g() {}\r\n',
    after: 'function f() {\r\n  g()\r\n}\r\nfunction g() {}\r\n',
  },
  {
    says: 'characters of two units and a byte order mark move nothing',
    path: 'a.js',
    input: replace('f', 'const f = "🎉"'),
    before: '\uFEFFconst a = "𝒳𝒳é"; /* 漢字 */\nconst f = "🎈🎈"\nconst b = "ü"\n',
    after: '\uFEFFconst a = "𝒳𝒳é"; /* 漢字 */\nconst f = "🎉"\nconst b = "ü"\n',
  },
  {
    says: 'one declarator among others on a line',
    path: 'a.js',
    input: replace('b', 'b = 3'),
    before: 'const é = "🎉", b = 2, c = 3\n',
    after: 'const é = "🎉", b = 3, c = 3\n',
  },
  {
    says: 'what ends a field is not doubled',
    path: 'a.rs',
    input: replace('S.a', '    pub a: u16,'),
    before: 'struct S {\n    a: u8,\n    b: u8,\n}\n',
    after: 'struct S {\n    pub a: u16,\n    b: u8,\n}\n',
  },
  {
    says: 'an empty text removes the symbol and its line',
    path: 'a.rs',
    input: replace('S.a', ''),
    before: 'struct S {\n    #[x]\n    a: u8,\n    b: u8,\n}\n',
    after: 'struct S {\n    b: u8,\n}\n',
  },
  {
    says: 'a symbol of the last line without an end',
    path: 'a.go',
    input: after('f', '\nfunc g() {}\n'),
    before: 'package p\nfunc f() {}',
    after: 'package p\nfunc f() {}\n\nfunc g() {}',
  },
  {
    says: 'above the comments and attributes that belong to it',
    path: 'a.rs',
    input: before('f', 'fn g() {}\n'),
    before: 'const A: u8 = 1; // A.\n/// One.\n/// Two.\n#[inline]\nfn f() {}\n',
    after: 'const A: u8 = 1; // A.\nfn g() {}\n/// One.\n/// Two.\n#[inline]\nfn f() {}\n',
  },
  {
    says: 'below a comment that a blank line parts from it',
    path: 'a.java',
    input: before('A.f', '  int a;'),
    before: 'class A {\n  /* Header. */\n\n  /**\n   * F.\n   */\n  int f;\n}\n',
    after: 'class A {\n  /* Header. */\n\n  int a;\n  /**\n   * F.\n   */\n  int f;\n}\n',
  },
  {
    says: 'after a member, its semicolon and its comment',
    path: 'a.ts',
    input: after('A.a', '  b = 2'),
    before: 'class A {\n  a = 1; // One.\n}\n',
    after: 'class A {\n  a = 1; // One.\n  b = 2\n}\n',
  },
  {
    says: 'before the first line of a file',
    path: 'a.py',
    input: before('f', 'A = 1\n'),
    before: 'def f(): pass\n',
    after: 'A = 1\ndef f(): pass\n',
  },
  {
    says: 'one of several of a name by its line',
    path: 'a.java',
    input: { ...replace('A.m', '  void m(int a) { n(); }'), line: 3 },
    before: 'class A {\n  void m() {}\n  void m(int a) {}\n}\n',
    after: 'class A {\n  void m() {}\n  void m(int a) { n(); }\n}\n',
  },
  {
    says: 'a file that does not parse elsewhere',
    path: 'a.js',
    input: replace('f', 'function f() {\n  return 1\n}'),
    before: 'function f() {}\nfunction ( {\n}\nfunction g() {}\n',
    after: 'function f() {\n  return 1\n}\nfunction ( {\n}\nfunction g() {}\n',
  },
  {
    says: 'what did not parse is mended',
    path: 'a.js',
    input: replace('f', 'function f() { return 1 }'),
    before: 'function f() { return ) }\nfunction g() {}\n',
    after: 'function f() { return 1 }\nfunction g() {}\n',
  },
  {
    says: 'several of a name are ambiguous',
    path: 'a.java',
    input: replace('A.m', ''),
    before: 'class A {\n  void m() {}\n  void m(int a) {}\n}\n',
    after: /A.m is ambiguous: method on line 2, method on line 3. Give its line/,
  },
  {
    says: 'a line on which none of them begins',
    path: 'a.java',
    input: { ...replace('A.m', ''), line: 4 },
    before: 'class A {\n  void m() {}\n}\n',
    after: /No A.m begins on line 4; there is method on line 2/,
  },
  {
    says: 'a symbol that is not there, with a hint',
    path: 'a.java',
    input: replace('m', ''),
    before: 'class A {\n  void m() {}\n}\n',
    after: /There is no symbol m. There is A.m/,
  },
  ...[
    ['a.js', 'function f() {', 'function f() {}\nfunction g() {}\n'],
    ['a.ts', 'function f(: string) {}', 'function f() {}\n'],
    ['a.py', 'def f(:', 'def f(): pass\n'],
    ['a.go', 'func f() { if }', 'package p\nfunc f() {}\n'],
    ['a.rs', 'fn f() -> {}', 'fn f() {}\n'],
    ['a.java', '  void f() { int }', 'class A {\n  void f() {}\n}\n'],
    ['a.tsx', 'const f = <a></b', 'const f = 1\n'],
  ].map(([path = '', text = '', file = '']) => ({
    says: `what would not parse: ${path}`,
    ...{ path, input: replace(path === 'a.java' ? 'A.f' : 'f', text), before: file },
    after: /no longer parses: line \d+/,
  })),
  {
    says: 'another fault in a file that has one',
    path: 'a.js',
    input: replace('f', 'function f() { return ) }'),
    before: 'function f() {}\nfunction ( {\n}\n',
    after: /no longer parses/,
  },
  {
    says: 'text that ends the class around it',
    path: 'a.js',
    input: replace('A.a', '  a() {}\n}\nclass B {'),
    before: 'class A {\n  a() {}\n  b() {}\n}\n',
    after: /would turn other code into class B/,
  },
  {
    says: 'a method that falls out of its class',
    path: 'a.py',
    input: replace('A.b', 'def b(self): pass'),
    before: 'class A:\n    a = 1\n    def b(self): pass\n',
    after: /would put function b out of A: mind the indentation/,
  },
  {
    says: 'nothing beside a symbol that shares its line',
    path: 'a.js',
    input: after('A.a', 'c() {}'),
    before: 'class A { a() {} b() {} }\n',
    after: /A.a shares its line with other code/,
  },
  {
    says: 'one name of a declaration of two',
    path: 'a.go',
    input: replace('a', 'a = 1'),
    before: 'package p\nvar a, b = 1, 2\n',
    after: /a is declared together with b/,
  },
  {
    says: 'an empty insertion',
    path: 'a.js',
    input: after('f', '\n'),
    before: 'function f() {}\n',
    after: /text to insert is empty/,
  },
  {
    says: 'a rename without a name',
    path: 'a.js',
    input: { operation: 'rename', symbol: 'f' },
    before: 'function f() {}\n',
    after: /rename takes new_name, and no text/,
  },
  {
    says: 'a replacement without a text',
    path: 'a.js',
    input: { operation: 'replace', symbol: 'f', new_name: 'g' },
    before: 'function f() {}\n',
    after: /replace takes text, and no new_name/,
  },
  {
    says: 'half a character',
    path: 'a.js',
    input: replace('f', 'const f = "\ud800"'),
    before: 'function f() {}\n',
    after: /not well-formed Unicode/,
  },
]

test('an edit changes one symbol and nothing else, or nothing at all', async (t) => {
  await using stage = openCode()
  for (const { says, path, input, before: text, after: expected } of edits)
    await t.test(`${path}: ${says}`, async () => {
      stage.files.set(path, Buffer.from(text))
      const edited = stage.edit(path, input)
      if (typeof expected === 'string') return assert.equal(await edited, expected)
      await assert.rejects(edited, expected)
      assert.equal(stage.files.get(path)?.toString(), text)
    })
})

test('an edit is refused when the file changed since it was outlined, or while it is edited', async () => {
  await using stage = openCode()
  const path = 'a.js'
  stage.files.set(path, Buffer.from('function f() {}\n'))
  const revision = /revision (\w+)/.exec(await stage.call('code_outline', { path }))?.[1]
  const edit = { path, revision, ...replace('f', 'function f() { return 1 }') }
  const said = await stage.call('code_edit', edit)
  const next = /^Replaced f: changed line 1. a.js has revision (\w+) now.$/.exec(said)?.[1]
  await assert.rejects(
    stage.call('code_edit', edit),
    new RegExp(`no longer as it was outlined: it is ${next} now`),
  )
  const late = stage.call('code_edit', { ...edit, revision: next })
  await Promise.resolve()
  stage.files.set(path, Buffer.from('function f() { return 2 }\n'))
  await assert.rejects(late, /was changed meanwhile/)
})
