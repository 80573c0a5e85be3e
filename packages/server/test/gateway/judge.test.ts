import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../src/clock.ts'
import { judgeAddress } from '../../src/gateway/judge.ts'
import { AddressRefused, canonicalHost, resolveJudged } from '../../src/gateway/resolve.ts'

const refused = [
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.168.1.1',
  '198.18.0.1',
  '198.51.100.7',
  '203.0.113.9',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '::ffff:8.8.8.8',
  '64:ff9b::7f00:1',
  '100::1',
  '2001::1',
  '2001:db8::1',
  '2002:7f00:1::1',
  'fc00::1',
  'fdaa:0:1::3',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'localhost',
  '2852039166',
  '',
]
for (const ip of refused)
  test(`${JSON.stringify(ip)} may not be dialled`, () => {
    assert.equal(judgeAddress(ip).ok, false)
  })

for (const ip of ['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00::1'])
  test(`${ip} may be dialled`, () => {
    assert.deepEqual(judgeAddress(ip), { ok: true })
  })

const spellings = [
  ['EXAMPLE.org.', 'example.org'],
  ['2852039166', '169.254.169.254'],
  ['0x7f.1', '127.0.0.1'],
  ['017700000001', '127.0.0.1'],
  ['[::ffff:127.0.0.1]', '::ffff:7f00:1'],
  ['a b', null],
  ['evil@host', null],
  ['host/path', null],
  ['', null],
] as const
for (const [given, canonical] of spellings)
  test(`the host ${JSON.stringify(given)} means ${canonical}`, () => {
    assert.equal(canonicalHost(given), canonical)
  })

function resolve(host: string, o: { addresses: string[]; allow?: boolean }) {
  return resolveJudged({
    host,
    port: 443,
    allowPrivate: o.allow === true ? [{ host, port: 443 }] : [],
    lookup: async () => o.addresses.map((address) => ({ address, family: 4 })),
    clock: systemClock,
    signal: new AbortController().signal,
  })
}

test('a name is resolved to its first address when all are public', async () => {
  const found = await resolve('a.example', { addresses: ['1.1.1.1', '8.8.8.8'] })
  assert.deepEqual(found, { address: '1.1.1.1', family: 4 })
})

test('one private address among public ones refuses the name', async () => {
  await assert.rejects(resolve('a.example', { addresses: ['1.1.1.1', '10.0.0.1'] }), AddressRefused)
})

test('a listed host may be private', async () => {
  const found = await resolve('a.example', { addresses: ['10.0.0.1'], allow: true })
  assert.equal(found.address, '10.0.0.1')
})

test('an IP literal is refused even if it is public, unless it is listed', async () => {
  await assert.rejects(resolve('1.1.1.1', { addresses: [] }), /GATEWAY_ALLOW_PRIVATE/)
  const found = await resolve('1.1.1.1', { addresses: [], allow: true })
  assert.deepEqual(found, { address: '1.1.1.1', family: 4 })
})

test('a name without addresses is refused', async () => {
  await assert.rejects(resolve('a.example', { addresses: [] }), /has no address/)
})

test('an abort ends a resolution that hangs', async () => {
  const controller = new AbortController()
  const pending = resolveJudged({
    host: 'a.example',
    port: 443,
    allowPrivate: [],
    lookup: () => new Promise(() => {}),
    signal: controller.signal,
  })
  controller.abort(new Error('enough'))
  await assert.rejects(pending, /enough/)
})
