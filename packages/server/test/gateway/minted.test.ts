/** What GitHub makes of a credential is taken out of its answers, however they come. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asksForMinted, withoutMinted } from '../../src/gateway/minted.ts'

const clean = async (...pieces: string[]) => {
  const chunks: Buffer[] = []
  const from = (async function* () {
    for (const piece of pieces) yield Buffer.from(piece)
  })()
  for await (const chunk of withoutMinted(from)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const taken: Readonly<Record<string, string>> = {
  '{"temp_clone_token":"AB12","x":1}': '{"temp_clone_token":"[secret]","x":1}',
  '{"parent":{ "temp_clone_token" : "AB12" }}': '{"parent":{ "temp_clone_token" : "[secret]" }}',
  '{"tempCloneToken":"AB12"}': '{"tempCloneToken":"[secret]"}',
  '"https://raw.example/f?token=AB12"': '"https://raw.example/f?token=[secret]"',
  '"https://x.example/f?a=ü\\u0026token=AB12\\u0026b=2"':
    '"https://x.example/f?a=ü\\u0026token=[secret]\\u0026b=2"',
  '<img src="https://x.example/1.png?jwt=ab.cd-e_f">':
    '<img src="https://x.example/1.png?jwt=[secret]">',
  'https://s3.example/z?X-Amz-Credential=k%2F1&amp;X-Amz-Signature=ff00 end':
    'https://s3.example/z?X-Amz-Credential=[secret]&amp;X-Amz-Signature=[secret] end',
  '"https://x.example/login?to=%2Ff%3Fa%3D1%26token%3DAB12"':
    '"https://x.example/login?to=%2Ff%3Fa%3D1%26token%3D[secret]"',
  'https://x.example/login?to=%2Ff%3fjwt%3dab.cd end':
    'https://x.example/login?to=%2Ff%3fjwt%3d[secret] end',
}
for (const [given, expected] of Object.entries(taken))
  test(`${given} comes as ${expected}, wherever it is cut`, async () => {
    for (let at = 0; at <= given.length; at += 1)
      assert.equal(await clean(given.slice(0, at), given.slice(at)), expected, `cut at ${at}`)
    assert.equal(await clean(...given), expected)
  })

test('what only looks like it stays, and so does an empty one', async () => {
  const given = '{"temp_clone_token":"","a":null,"token":"x","text":"?tokens=1 token=2 ?token= é"}'
  assert.equal(await clean(...given), given)
  assert.equal(await clean(), '')
})

test('a value of many pieces is taken out whole', async () => {
  const pieces = Array.from({ length: 100 }, () => 'A'.repeat(1000))
  assert.equal(await clean('"?token=', ...pieces, '" rest'), '"?token=[secret]" rest')
})

test('a query asks for one whatever it is called in the answer', () => {
  assert.ok(asksForMinted('{ repository(owner: "a", name: "b") { x: tempCloneToken } }'))
  assert.ok(!asksForMinted('{ viewer { login } }'))
})
