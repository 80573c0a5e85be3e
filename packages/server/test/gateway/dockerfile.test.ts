import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkDockerfile } from '../../src/gateway/dockerfile.ts'
import { canonicalImage } from '../../src/image-name.ts'

const settings = {
  allowed: ['node:24-slim', 'registry.example.com:5000/base:1'],
  label: { name: 'owner', value: 'us' },
}

function problem(text: string): string {
  const checked = checkDockerfile(text, settings)
  return 'problem' in checked ? checked.problem : `accepted: ${checked.text}`
}

test('an image has one spelling', () => {
  const digest = `@sha256:${'a'.repeat(64)}`
  for (const [written, meant] of [
    ['node', 'node:latest'],
    ['docker.io/library/node:24-slim', 'node:24-slim'],
    ['index.docker.io/acme/app', 'acme/app:latest'],
    ['registry.example.com:5000/base', 'registry.example.com:5000/base:latest'],
    [`node${digest}`, `node${digest}`],
    [`node:24${digest}`, `node:24${digest}`],
    ['Node', null],
    ['', null],
    ['node:', null],
    ['node@sha256:12', null],
    ['-v', null],
    ['$BASE', null],
    ['a b', null],
  ] as const)
    assert.equal(canonicalImage(written), meant, written)
})

test('a Dockerfile is written anew: folded, labelled, without comments and directives', () => {
  const text = [
    '\ufeff# syntax=evil/frontend',
    '# escape=`',
    'ARG A=1',
    'from docker.io/library/node:24-slim as build',
    'WORKDIR /app\r',
    'COPY --chown=1000:1000 package.json \\  ',
    '# a comment between \\',
    '',
    '  src/ ./',
    'RUN   npm run build && \\',
    '    echo "# not a comment"',
    'FROM scratch',
    'label owner=them',
    'COPY --from=build /app /app',
    'COPY --from=0 /app /app2',
    'CMD ["/app"]',
  ].join('\n')
  assert.deepEqual(checkDockerfile(text, settings), {
    text: [
      'ARG A=1',
      'FROM docker.io/library/node:24-slim as build',
      'LABEL owner="us"',
      'WORKDIR /app',
      'COPY --chown=1000:1000 package.json   src/ ./',
      'RUN npm run build &&     echo "# not a comment"',
      'FROM scratch',
      'LABEL owner="us"',
      'LABEL owner=them',
      'LABEL owner="us"',
      'COPY --from=build /app /app',
      'COPY --from=0 /app /app2',
      'CMD ["/app"]',
      '',
    ].join('\n'),
  })
})

for (const [what, text, says] of [
  ['another image', 'FROM node:22', /not among the images/],
  ['another registry', 'FROM evil.example.com/node:24-slim', /not among the images/],
  ['another image as a later stage', 'FROM scratch\nFROM evil', /not among the images/],
  ['an image from an argument', 'ARG B=evil\nFROM $B', /written out/],
  ['an image from an argument with a default', `FROM $${'{B:-evil}'}`, /written out/],
  ['a platform', 'FROM --platform=linux/arm64 node:24-slim', /without options/],
  ['a stage that comes later', 'FROM later\nFROM scratch AS later', /not among the images/],
  ['a stage of itself', 'FROM self AS self', /not among the images/],
  ['an image hidden by a folded line', 'FROM \\\n# c\n evil', /not among the images/],
  ['an image after a comment that seems folded', 'FROM scratch\n# \\\nFROM evil', /not among/],
  ['an image after a carriage return', 'FROM scratch\rFROM evil', /control character|written out/],
  ['an image after a line separator', 'FROM scratch\u2028FROM evil', /written out|not an instr/],
  ['files of an image', 'FROM scratch\nCOPY --from=evil /a /b', /not an earlier stage/],
  ['files of an image, quoted', 'FROM scratch\nCOPY --"from"=evil /a /b', /COPY takes no/],
  ['files of an image, escaped', 'FROM scratch\nCOPY --\\from=evil /a /b', /COPY takes no/],
  ['files of an image, in capitals', 'FROM scratch\ncopy --FROM=evil /a /b', /COPY takes no/],
  ['files of an image, second', 'FROM scratch\nCOPY --chown=1 --from=evil /a /b', /earlier stage/],
  ['files of an image, in an argument', 'FROM scratch\nCOPY --from=$E /a /b', /COPY takes no/],
  ['files of its own stage', 'FROM scratch AS a\nCOPY --from=a /a /b', /not an earlier stage/],
  ['files of a stage that comes later', 'FROM scratch\nCOPY --from=1 /a /b', /earlier stage/],
  ['a mount', 'FROM scratch\nRUN --mount=type=bind,target=/a true', /no options/],
  ['the network of the host', 'FROM scratch\nRUN --network=host true', /no options/],
  ['privileges', 'FROM scratch\nRUN --security=insecure true', /no options/],
  ['something from the network', 'FROM scratch\nADD https://example.com /', /use COPY/],
  ['what happens later', 'FROM scratch\nONBUILD RUN true', /not an instruction/],
  ['an unknown instruction', 'FROM scratch\nINCLUDE a', /not an instruction/],
  ['a text that goes on', 'FROM scratch\nRUN cat <<EOF\nhello\nEOF', /no here-document/],
  ['a text for a file', 'FROM scratch\nCOPY <<EOF /a\nhello\nEOF', /no here-document/],
  ['a text that is folded', 'FROM scratch\nRUN cat <\\\n<EOF', /no here-document/],
  ['a text of two halves', `FROM scratch\nRUN cat <$${'{A:-<}'}EOF`, /no here-document/],
  ['a text of two other halves', `FROM scratch\nRUN cat $${'{A:-<}'}<EOF`, /no here-document/],
  ['a NUL', 'FROM scratch\nRUN a\0b', /control character/],
  ['no FROM', '# nothing', /no FROM/],
  ['a command before FROM', 'RUN true\nFROM scratch', /FROM before/],
  ['more than fits', `FROM scratch\n${'RUN true\n'.repeat(200)}`, /200 instructions/],
  ['a file that is too large', `FROM scratch\nRUN ${'x'.repeat(65_536)}`, /characters/],
] as const) {
  test(`a Dockerfile is refused with ${what}`, () => assert.match(problem(text), says))
}
