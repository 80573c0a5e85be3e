/** The outline of one file per language, exactly as the agent reads it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openCode } from './code.ts'

interface Outlined {
  readonly path: string
  readonly text: string
  /** Without the first line. */
  readonly outline: string
}

const files: readonly Outlined[] = [
  {
    path: 'a.ts',
    text: `import { x } from 'y'
/** Doc. */
@dec({ a: 1 })
export default class Server<T> extends Base implements I {
  @input() private readonly port: number = 1
  static #count = 0
  constructor(private q: string) { super(); function inner() {} }
  get url(): string { return '' }
  on(a: string): void
  on(a: number): void
  @log
  async on(
    a: unknown,
  ): Promise<void> { class Local {} }
  abstract stop(): void
  ['computed']() {}
}
export interface Options extends I { port?: number; listen(a: string): void; [key: string]: unknown }
export type Id = string | { a: number }
export const enum Color { Red, Green = 'g' }
declare global { interface Window { z: string } }
namespace A.B { export const deep = 1; export namespace C { export function f() {} } }
export const one = 1, two = (a: number) => { const three = 3 }
let { a, b } = x
declare function ambient(a: string): void
export abstract class Shape { abstract area(): number }
`,
    outline: `3-17 class Server: class Server<T> extends Base implements I
5-5 field Server.port: @input() private readonly port: number = 1
6-6 field Server.#count: static #count = 0
7-7 constructor Server.constructor: constructor(private q: string)
8-8 method Server.url: get url(): string
9-9 method Server.on: on(a: string): void
10-10 method Server.on: on(a: number): void
11-14 method Server.on: async on( a: unknown, ): Promise<void>
15-15 method Server.stop: abstract stop(): void
16-16 method Server.['computed']: ['computed']()
18-18 interface Options: interface Options extends I
18-18 field Options.port: port?: number
18-18 method Options.listen: listen(a: string): void
19-19 type Id: type Id = string | { a: number }
20-20 enum Color: const enum Color
20-20 enum_member Color.Red: Red
20-20 enum_member Color.Green: Green = 'g'
21-21 module global: { interface Window { z: string } }
21-21 interface global.Window: interface Window
21-21 field global.Window.z: z: string
22-22 module A.B: namespace A.B
22-22 constant A.B.deep: deep = 1
22-22 module A.B.C: namespace C
22-22 function A.B.C.f: function f()
23-23 constant one: one = 1
23-23 function two: two = (a: number) =>
25-25 function ambient: function ambient(a: string): void
26-26 class Shape: abstract class Shape
26-26 method Shape.area: abstract area(): number`,
  },
  {
    path: 'a.tsx',
    text: `export const Button: FC<P> = ({ label }) => <b>{label}</b>
export default function () { return <Button label="x" /> }
`,
    outline: `1-1 function Button: Button: FC<P> = ({ label }) =>
2-2 function default: function ()`,
  },
  {
    path: 'a.mjs',
    text: `'use strict'
class A extends B { static s = 1; #p; get v() {} async *gen() {} static {} }
function f(a, ...b) {}
function* g() {}
exports.h = async () => {}
A.prototype.i = function () {}
var k = class { m() {} }
module.exports = { f }
if (x) { function hidden() {} }
`,
    outline: `2-2 class A: class A extends B
2-2 field A.s: static s = 1
2-2 field A.#p: #p
2-2 method A.v: get v()
2-2 method A.gen: async *gen()
3-3 function f: function f(a, ...b)
4-4 function g: function* g()
5-5 function exports.h: exports.h = async () => {}
6-6 function A.prototype.i: A.prototype.i = function () {}
7-7 class k: k = class
7-7 method k.m: m()`,
  },
  {
    path: 'a.py',
    text: `import os
LIMIT: int = 1
a, b = 1, 2
@dec
@other(1)
async def f(a, *, b=1) -> int:
    def inner(): pass
@dataclass
class A(B, metaclass=M):
    """Doc."""
    x: int
    y = 1
    def __init__(self): pass
    @property
    def p(self): pass
    class Inner:
        def m(self): pass
if TYPE_CHECKING:
    def g(): pass
else:
    K = 1
type Alias[T] = list[T]
`,
    outline: `2-2 variable LIMIT: LIMIT: int = 1
4-7 function f: async def f(a, *, b=1) -> int:
8-17 class A: class A(B, metaclass=M):
11-11 field A.x: x: int
12-12 field A.y: y = 1
13-13 constructor A.__init__: def __init__(self):
14-15 method A.p: def p(self):
16-17 class A.Inner: class Inner:
17-17 method A.Inner.m: def m(self):
19-19 function g: def g():
21-21 variable K: K = 1
22-22 type Alias: type Alias[T] = list[T]`,
  },
  {
    path: 'a.go',
    text: `package main
import "fmt"
const A = 1
const (
	B, C = iota, 2
)
var v int
type T[K any] struct {
	a, b int
	Embedded
}
type I interface { M(a int) error; fmt.Stringer }
type Alias = T[int]
type F func(int) int
func (t *T[K]) M(a int) (n int, err error) { type local int; return }
func main() {}
`,
    outline: `3-3 constant A: A = 1
4-6 constant B: B, C = iota, 2
4-6 constant C: B, C = iota, 2
7-7 variable v: v int
8-11 struct T: T[K any] struct {
9-9 field T.a: a, b int
9-9 field T.b: a, b int
12-12 interface I: I interface { M(a int) error; fmt.Stringer }
12-12 method I.M: M(a int) error
13-13 type Alias: Alias = T[int]
14-14 type F: F func(int) int
15-15 method T.M: func (t *T[K]) M(a int) (n int, err error)
16-16 function main: func main()`,
  },
  {
    path: 'a.rs',
    text: `use std::fmt;
mod inner { pub fn f() {} }
/// Doc.
#[derive(Debug)]
#[repr(C)]
pub struct S<'a, T> { pub a: u8, b: &'a T }
enum E { A, B(u8), C { x: u8 } }
trait Tr { const K: u8; type Ty; fn req(&self); }
impl<'a, T> S<'a, T> {
    #[inline]
    pub fn new(a: u8) -> Self { fn nested() {} }
}
impl fmt::Display for S<'_, u8> { fn fmt(&self) {} }
const X: u8 = 1; static mut Y: u8 = 2;
type Al = Vec<u8>;
macro_rules! mac { () => {} }
extern "C" { fn ext(a: u8); }
`,
    outline: `2-2 module inner: mod inner
2-2 function inner.f: pub fn f()
4-6 struct S: pub struct S<'a, T>
6-6 field S.a: pub a: u8
6-6 field S.b: b: &'a T
7-7 enum E: enum E
7-7 enum_member E.A: A
7-7 enum_member E.B: B
7-7 enum_member E.C: C
8-8 trait Tr: trait Tr
8-8 constant Tr.K: const K: u8;
8-8 type Tr.Ty: type Ty;
8-8 method Tr.req: fn req(&self);
9-12 impl impl S: impl<'a, T> S<'a, T>
10-11 method S.new: pub fn new(a: u8) -> Self
13-13 impl impl fmt::Display for S: impl fmt::Display for S<'_, u8>
13-13 method S.fmt: fn fmt(&self)
14-14 constant X: const X: u8 = 1;
14-14 variable Y: static mut Y: u8 = 2;
15-15 type Al: type Al = Vec<u8>;
16-16 macro mac: macro_rules! mac { () => {} }
17-17 function ext: fn ext(a: u8);`,
  },
  {
    path: 'A.java',
    text: `package p;
@Ann(1)
public class A<T> extends B {
  private static final int X = 1, Y = 2;
  public A(int x) { }
  static { }
  @Override
  public <U> void m(int a, String... s) throws E { class Local {} }
  void m() {}
  interface I { int Z = 1; void im(); }
  enum E { P, Q(1) { void b() {} }; E(int x) {} void em() {} }
  record R(int a) { R { } }
  @interface An { int value() default 1; }
}
`,
    outline: `2-14 class A: @Ann(1) public class A<T> extends B
4-4 field A.X: private static final int X = 1, Y = 2;
4-4 field A.Y: private static final int X = 1, Y = 2;
5-5 constructor A.A: public A(int x)
7-8 method A.m: @Override public <U> void m(int a, String... s) throws E
9-9 method A.m: void m()
10-10 interface A.I: interface I
10-10 field A.I.Z: int Z = 1;
10-10 method A.I.im: void im();
11-11 enum A.E: enum E
11-11 enum_member A.E.P: P
11-11 enum_member A.E.Q: Q(1)
11-11 constructor A.E.E: E(int x)
11-11 method A.E.em: void em()
12-12 record A.R: record R(int a)
12-12 constructor A.R.R: R
13-13 annotation A.An: @interface An
13-13 method A.An.value: int value() default 1;`,
  },
]

test('an outline is exact in every language, with either line end', async (t) => {
  await using stage = openCode()
  for (const { path, text, outline } of files)
    for (const end of ['\n', '\r\n'])
      await t.test(`${path} ${JSON.stringify(end)}`, async () => {
        stage.files.set(path, Buffer.from(text.replaceAll('\n', end)))
        const [first, ...lines] = (await stage.call('code_outline', { path })).split('\n')
        assert.match(first ?? '', /^a\.\w+ \(\w+\), revision [0-9a-f]{16}$/i)
        assert.equal(lines.join('\n'), outline)
      })
})

test('an outline can be of one symbol, and names what does not parse', async () => {
  await using stage = openCode()
  const text = 'class A { m() {} }\nfunction ( {\nclass B { n() {} }\n'
  stage.files.set('a.js', Buffer.from(text))
  const [, ...all] = (await stage.call('code_outline', { path: 'a.js' })).split('\n')
  assert.deepEqual(all.slice(0, 2), ['1-1 class A: class A', '1-1 method A.m: m()'])
  assert.match(all.at(-1) ?? '', /^\[does not parse, as before: line/)
  const [, ...one] = (await stage.call('code_outline', { path: 'a.js', within: 'A' })).split('\n')
  assert.deepEqual(one.slice(0, 2), all.slice(0, 2))
  await assert.rejects(stage.call('code_outline', { path: 'a.js', within: 'X' }), /no symbol X/)
})

test('an outline is refused for another language, another encoding, and for nothing', async () => {
  await using stage = openCode()
  stage.files.set('a.md', Buffer.from('# A'))
  stage.files.set('a.js', Buffer.from([0xff, 0xfe, 0x61]))
  stage.files.set('b.js', Buffer.alloc(2 * 1024 * 1024 + 1, ' '))
  stage.files.set('c.js', Buffer.from(''))
  await assert.rejects(
    stage.call('code_outline', { path: 'a.md' }),
    /none of these languages: TypeScript/,
  )
  await assert.rejects(stage.call('code_outline', { path: 'a.js' }), /not UTF-8 text/)
  await assert.rejects(stage.call('code_outline', { path: 'b.js' }), /at most 2097152 are parsed/)
  assert.match(await stage.call('code_outline', { path: 'c.js' }), /\[nothing is declared\]$/)
})

test('a file with more symbols than an answer lists says so', async () => {
  await using stage = openCode()
  stage.files.set('a.js', Buffer.from('function f() {}\n'.repeat(300)))
  const lines = (await stage.call('code_outline', { path: 'a.js' })).split('\n')
  assert.equal(lines.length, 252)
  assert.equal(lines.at(-1), '[50 more symbols; ask with `within`]')
})
